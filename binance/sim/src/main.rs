//! The simulated exchange as a program.

fn main() {}
