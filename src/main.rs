//! argv in, exit code out; nothing else.

fn main() -> std::process::ExitCode {
    highwater::cli::main(std::env::args_os())
}
