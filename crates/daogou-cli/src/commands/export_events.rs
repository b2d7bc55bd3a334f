//! `daogou export-events`.

use std::path::PathBuf;

use clap::Args;
use daogou_server::store::{Attribution, Store, StoreOptions};

use super::Outcome;
use crate::terminal::note;

/// Write the events of a server's store to a file
///
/// One row per event, ids kept; or with `--impressions` one row per item shown and what came of it, as training reads it.
#[derive(Args)]
pub(crate) struct ExportEvents {
    /// The store: path of an SQLite file, or `postgres://…`
    #[arg(long, value_name = "URL")]
    store: String,
    /// File: `.parquet` or `.jsonl`
    #[arg(long, value_name = "F")]
    out: PathBuf,
    /// One row per item shown, with labels
    #[arg(long)]
    impressions: bool,
    /// Hours within which a click belongs to an impression of no list
    #[arg(long, value_name = "N", default_value_t = 24, requires = "impressions")]
    click_hours: i64,
    /// Days within which a purchase does
    #[arg(long, value_name = "N", default_value_t = 7, requires = "impressions")]
    purchase_days: i64,
}

impl ExportEvents {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let path = std::path::Path::new(self.store.strip_prefix("sqlite:").unwrap_or(&self.store));
        if !self.store.contains("://") && !path.exists() {
            // A store that is opened is made where there is none; here that would hide a mistyped name.
            return Err(daogou::Error::file(path, "expected a store, found no file").into());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let store = Store::open(&self.store, &StoreOptions::default()).await?;
            let out = self.out.display();
            if self.impressions {
                let attribution = Attribution {
                    click_window: self.click_hours * 3_600,
                    purchase_window: self.purchase_days * 86_400,
                    ..Attribution::default()
                };
                let joined = store.export_impressions(&self.out, &attribution).await?;
                note(&format!(
                    "{out}: {} impressions, {} clicked, {} bought",
                    joined.rows, joined.clicks, joined.purchases
                ));
                if joined.unshown_clicks + joined.unshown_purchases > 0 {
                    note(&format!(
                        "left out, being of nothing shown: {} clicks, {} purchases",
                        joined.unshown_clicks, joined.unshown_purchases
                    ));
                }
            } else {
                let events = store.export_events(&self.out).await?;
                note(&format!("{out}: {events} events"));
            }
            store.close().await;
            Ok::<_, anyhow::Error>(())
        })?;
        Ok(Outcome::Done)
    }
}
