//! scratch
use daogou::data::Dataset;
use daogou::schema::Config;
use daogou::train::{self, Observer, Round};
use std::time::Instant;
struct Show;
impl Observer for Show {
    fn round(&mut self, r: &Round) {
        eprintln!("{r:?}");
    }
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let path = std::path::PathBuf::from(&args[1]);
    let mut config = Config::read(&path).unwrap();
    for s in &args[2..] {
        config.set(s).unwrap();
    }
    let t = Instant::now();
    let data = match Dataset::load(&config, path.parent().unwrap()) {
        Ok(d) => d,
        Err(e) => {
            eprintln!("{e} / {:?}", e.hint());
            std::process::exit(2)
        }
    };
    eprintln!("load {:?} {:?} {:?}", t.elapsed(), data.split, data.report);
    let t = Instant::now();
    let trained = match train::train(&config, &data, &train::Options::default(), &mut Show) {
        Ok(d) => d,
        Err(e) => {
            eprintln!("{e} / {:?}", e.hint());
            std::process::exit(2)
        }
    };
    eprintln!("train {:?} {:?}", t.elapsed(), trained.constants);
}
