//! scratch
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut o = daogou::simulate::Options::default();
    o.requests = args[2].parse().unwrap();
    let s = daogou::simulate::run(&o, std::path::Path::new(&args[1]), &mut |_| {}).unwrap();
    eprintln!("{s:?}");
}
