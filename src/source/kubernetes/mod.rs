//! Watches Deployments, StatefulSets, HPAs and ScaledObjects.
