//! The command `oh`.
fn main() {}
