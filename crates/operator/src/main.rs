mod http;
mod leadership;
mod telemetry;

fn main() {}
