//! People and products.

use daogou_nn::rng::Rng;

use super::{Options, domain};

/// A category of the shop.
#[derive(Clone, Copy, Debug)]
pub struct Category {
    /// Name.
    pub name: &'static str,
    /// Share of the catalogue.
    pub share: f64,
    /// Median price.
    pub price: f64,
    /// Standard deviation of the log-price within the category.
    pub spread: f64,
    /// Whether it is a telephone: buying one makes people look for accessories.
    pub phone: bool,
    /// Whether it goes with a telephone.
    pub accessory: bool,
    /// Series names of its products.
    pub(super) series: [&'static str; 3],
}

const fn category(
    name: &'static str,
    share: f64,
    price: f64,
    spread: f64,
    series: [&'static str; 3],
) -> Category {
    Category { name, share, price, spread, phone: false, accessory: false, series }
}

const fn phone(of: Category) -> Category {
    Category { phone: true, ..of }
}

const fn accessory(of: Category) -> Category {
    Category { accessory: true, ..of }
}

/// The shop's categories.
pub const CATEGORIES: [Category; 12] = [
    phone(category("flagship", 0.16, 5200.0, 0.2, ["Apex", "Zenith", "Crown"])),
    phone(category("mid", 0.15, 2600.0, 0.2, ["Nova", "Lark", "Vista"])),
    phone(category("budget", 0.14, 1200.0, 0.2, ["Pebble", "Dash", "Note"])),
    phone(category("foldable", 0.05, 8000.0, 0.2, ["Fold", "Flip", "Origami"])),
    phone(category("gaming", 0.06, 3600.0, 0.2, ["Blade", "Arena", "Turbo"])),
    accessory(category("case", 0.12, 60.0, 0.4, ["Shell Case", "Clear Case", "Leather Case"])),
    accessory(category("charger", 0.09, 110.0, 0.35, ["Volt Charger", "Power Bank", "Dock"])),
    accessory(category("earphone", 0.08, 300.0, 0.6, ["Buds", "Echo Buds", "Studio Headset"])),
    category("watch", 0.06, 900.0, 0.4, ["Watch", "Pulse Watch", "Band"]),
    category("tablet", 0.04, 2600.0, 0.3, ["Pad", "Slate", "Canvas Pad"]),
    accessory(category("film", 0.03, 30.0, 0.35, ["Glass Film", "Privacy Film", "Matte Film"])),
    phone(category("refurbished", 0.02, 1500.0, 0.3, ["Renew", "Second", "Again"])),
];

/// Number of categories.
pub(super) const C: usize = CATEGORIES.len();

/// Made-up brands, the best known first.
pub(super) const BRANDS: [&str; 30] = [
    "Lumea", "Kairo", "Vanto", "Orbita", "Zephyra", "Hanlu", "Mirado", "Tessel", "Quanta", "Brisk",
    "Yunque", "Solari", "Pixelle", "Nordell", "Calyx", "Ferro", "Amberly", "Juno", "Ridge",
    "Oktav", "Wavely", "Drift", "Emberon", "Silka", "Tundra", "Ivora", "Locus", "Marlow", "Puffin",
    "Xenia",
];

const SELLERS: usize = 150;
/// Exponent of the sizes of brands and sellers.
const ZIPF: f64 = 0.9;
/// Share of the catalogue launched while the log runs.
const LAUNCHED_INSIDE: f64 = 0.2;
/// First day of the log: Monday 2025-01-06, 00:00 UTC.
pub(super) const START: i64 = 1_736_121_600;
pub(super) const DAY: i64 = 86_400;
/// Names of the four specifications.
pub(super) const SPECS: [&str; 4] = ["spec_screen", "spec_camera", "spec_battery", "spec_speed"];
/// Names of the age buckets.
pub(super) const AGES: [&str; 6] = ["18-24", "25-30", "31-36", "37-45", "46-55", "56+"];

/// A product.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Index into [`CATEGORIES`].
    pub category: u8,
    /// Brand, the best known first.
    pub brand: u8,
    /// Seller, the largest first.
    pub seller: u16,
    /// Price, a whole number.
    pub price: f64,
    /// ln(price / the category's median price).
    pub price_deviation: f64,
    /// Hidden quality, standard normal.
    pub quality: f64,
    /// Four specifications, better with quality and price.
    pub specs: [f64; 4],
    /// Hidden popularity; sums to 1 over the catalogue.
    pub popularity: f64,
    /// 1 − popularity percentile, in (0, 1).
    pub obscurity: f64,
    /// When it was launched, Unix seconds.
    pub launch: i64,
}

/// A person.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Index into the age buckets.
    pub age: u8,
    /// 0 the largest cities, 3 the smallest.
    pub tier: u8,
    /// Brand of the telephone they own.
    pub owned_brand: u8,
    /// What the shop guesses of the budget: 0 to 8.
    pub budget_bucket: u8,
    /// Days since registration when the log starts.
    pub registered_days: u32,
    /// Relative number of sessions.
    pub activity: f64,
    /// Hidden: share of sessions by category wanted.
    pub taste: [f32; C],
    /// Hidden: how much a price above the budget hurts.
    pub price_sensitivity: f32,
    /// Hidden: log-price above the category's median that does not hurt yet.
    pub budget: f32,
    /// Hidden: liking for the unknown, −2 to 2.
    pub novelty: f32,
    /// Hidden: liking of each brand when clicking.
    pub brands: [f32; BRANDS.len()],
    /// Hidden: weight of each specification when clicking.
    pub specs: [f32; 4],
    /// Hidden: liking of each brand when buying.
    pub brands_buying: [f32; BRANDS.len()],
    /// Hidden: weight of each specification when buying.
    pub specs_buying: [f32; 4],
}

/// Everyone and everything there is. A function of the options alone, so that an evaluation can make it again.
#[derive(Clone, Debug)]
pub struct World {
    options: Options,
    items: Vec<Item>,
    users: Vec<User>,
}

impl World {
    /// Makes the world of these options.
    pub fn new(options: &Options) -> Self {
        let brand_sizes = zipf(BRANDS.len());
        let (items_seed, users_seed) = (domain(options.seed, "item"), domain(options.seed, "user"));
        let mut brand_rng = Rng::new(domain(options.seed, "brand"), 0);
        let brand_tiers: [f64; BRANDS.len()] = std::array::from_fn(|_| 0.35 * brand_rng.normal());

        let category_sizes = cumulative(CATEGORIES.iter().map(|category| category.share));
        let seller_sizes = zipf(SELLERS);
        let mut items: Vec<Item> = (0..options.items as usize)
            .map(|index| {
                let mut rng = Rng::new(items_seed, index as u64);
                // The first twelve make sure that no category is ever empty.
                let drawn = draw(&category_sizes, rng.uniform());
                let category = if index < C { index } else { drawn };
                let brand = draw(&brand_sizes, rng.uniform());
                let seller = draw(&seller_sizes, rng.uniform());
                let kind = &CATEGORIES[category];
                let log = kind.spread * rng.normal() + 0.5 * brand_tiers[brand];
                let price = (kind.price * log.exp()).round().max(1.0);
                let price_deviation = (price / kind.price).ln();
                let quality = rng.normal();
                let specs = std::array::from_fn(|_| {
                    0.8 * rng.normal() + 0.3 * quality + 0.5 * price_deviation
                });
                let popularity = (1.2 * rng.normal() + 0.5 * quality).exp();
                let inside = rng.uniform() < LAUNCHED_INSIDE && index >= C;
                let days = if inside {
                    rng.uniform() * f64::from(options.days)
                } else {
                    // Most of a catalogue is young; nothing is older than three years.
                    -1.0 - 1095.0 * rng.uniform().powi(2)
                };
                Item {
                    category: category as u8,
                    brand: brand as u8,
                    seller: seller as u16,
                    price,
                    price_deviation,
                    quality,
                    specs,
                    popularity,
                    obscurity: 0.0,
                    launch: START + (days * DAY as f64) as i64,
                }
            })
            .collect();
        let total: f64 = items.iter().map(|item| item.popularity).sum();
        let mut by_popularity: Vec<usize> = (0..items.len()).collect();
        by_popularity
            .sort_by(|&a, &b| items[a].popularity.total_cmp(&items[b].popularity).then(a.cmp(&b)));
        let n = items.len() as f64;
        for (rank, &item) in by_popularity.iter().enumerate() {
            items[item].obscurity = 1.0 - (rank as f64 + 0.5) / n;
            items[item].popularity /= total;
        }

        let users = (0..u64::from(options.users))
            .map(|index| user(&mut Rng::new(users_seed, index), &brand_sizes, options.relatedness))
            .collect();
        Self { options: options.clone(), items, users }
    }

    /// What it was made of.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Products, by number.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// People, by number.
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// Id of a person in the written tables.
    pub fn user_id(user: u32) -> String {
        format!("u{user:05}")
    }

    /// Id of a product in the written tables.
    pub fn item_id(item: u32) -> String {
        format!("i{item:05}")
    }

    /// The number of a product by its id in the written tables; `None` for any other id.
    pub fn item_number(id: &str) -> Option<u32> {
        let number = id.strip_prefix('i')?.parse().ok()?;
        (Self::item_id(number) == id).then_some(number)
    }
}

fn user(rng: &mut Rng, brand_sizes: &[f64], relatedness: f64) -> User {
    let age = rng.below(AGES.len() as u64) as u8;
    let tier = rng.below(4) as u8;
    let older = f64::from(age) - 2.5;
    let income = 0.5 * older / 1.7 - 0.25 * (f64::from(tier) - 1.5) + 0.6 * rng.normal();
    let price_sensitivity = (-0.35 * income + 0.3 * rng.normal()).exp();
    let budget = 0.35 * income;
    let guess = budget + 0.15 * rng.normal();
    let taste: [f64; C] = std::array::from_fn(|c| gamma(rng, 6.0 * CATEGORIES[c].share + 0.05));
    let total: f64 = taste.iter().sum();
    let taste = taste.map(|share| (share / total) as f32);
    let owned_brand = draw(brand_sizes, rng.uniform()) as u8;
    let own = |rng: &mut Rng| -> [f32; BRANDS.len()] {
        std::array::from_fn(|_| (0.35 * rng.normal()) as f32)
    };
    let mix = |shared: f32, other: f32| {
        (relatedness * f64::from(shared)
            + (1.0 - relatedness * relatedness).sqrt() * f64::from(other)) as f32
    };
    let mut brands = own(rng);
    let other = own(rng);
    let mut brands_buying: [f32; BRANDS.len()] = std::array::from_fn(|b| mix(brands[b], other[b]));
    brands[owned_brand as usize] += 1.1;
    brands_buying[owned_brand as usize] += 1.1;
    let novelty = (-0.12 * older + 0.8 * rng.normal()).clamp(-2.0, 2.0);
    let specs: [f32; 4] = std::array::from_fn(|_| (0.35 * rng.normal()) as f32);
    let specs_buying = std::array::from_fn(|s| mix(specs[s], (0.35 * rng.normal()) as f32));
    User {
        age,
        tier,
        owned_brand,
        budget_bucket: ((guess + 0.675) / 0.15).clamp(0.0, 8.0) as u8,
        registered_days: (-(1.0 - rng.uniform()).ln() * 400.0) as u32,
        activity: (0.8 * rng.normal()).exp(),
        taste,
        price_sensitivity: price_sensitivity as f32,
        budget: budget as f32,
        novelty: novelty as f32,
        brands,
        specs,
        brands_buying,
        specs_buying,
    }
}

/// Cumulative shares of sizes in proportion to 1 / rank^0.9.
fn zipf(n: usize) -> Vec<f64> {
    cumulative((1..=n).map(|rank| (rank as f64).powf(-ZIPF)))
}

/// Running sums, scaled to end at 1.
pub(super) fn cumulative(sizes: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sums: Vec<f64> = sizes
        .scan(0.0, |sum, size| {
            *sum += size;
            Some(*sum)
        })
        .collect();
    let total = *sums.last().expect("at least one size");
    for sum in &mut sums {
        *sum /= total;
    }
    sums
}

/// The index that a uniform number falls on. O(log n).
pub(super) fn draw(cumulative: &[f64], uniform: f64) -> usize {
    cumulative.partition_point(|&sum| sum <= uniform).min(cumulative.len() - 1)
}

/// Gamma with scale 1 (Marsaglia & Tsang 2000; shapes below 1 by their boost).
fn gamma(rng: &mut Rng, shape: f64) -> f64 {
    if shape < 1.0 {
        let boost = (1.0 - rng.uniform()).powf(1.0 / shape);
        return gamma(rng, shape + 1.0) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = rng.normal();
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - rng.uniform()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}
