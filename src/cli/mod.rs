//! One file per subcommand: wires the rooms.
