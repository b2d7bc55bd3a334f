//! `daogou serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use daogou_server::{Server, ServerConfig};
use tracing_subscriber::EnvFilter;

use super::Outcome;
use crate::terminal::note;

/// Serve lists over HTTP, take events, show the dashboard
///
/// Without API keys it listens on this machine only. `/docs` describes the API.
#[derive(Args)]
pub(crate) struct Serve {
    /// Run directory
    #[arg(required_unless_present = "model_dir")]
    run: Option<PathBuf>,
    /// Directory of runs, one folder each; new ones are put there
    #[arg(long, value_name = "D")]
    model_dir: Option<PathBuf>,
    /// Address and port; port 0: any that is free
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The store: path of an SQLite file, or `postgres://…`
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Configuration of the server
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Threads that score; by default one per core
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Log as JSON lines
    #[arg(long)]
    log_json: bool,
    /// Print the configuration with all defaults, and end
    #[arg(long)]
    print_config: bool,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let mut config = match &self.config {
            Some(path) => ServerConfig::read(path)?,
            None => ServerConfig::default(),
        };
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if let Some(store) = self.store {
            config.store = store;
        }
        if let Some(threads) = self.threads {
            config.threads = threads;
        }
        if self.print_config {
            crate::terminal::print(&config.to_toml())?;
            return Ok(Outcome::Done);
        }
        // `DAOGOU_LOG=debug` tells of every request.
        let filter =
            EnvFilter::try_from_env("DAOGOU_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        if self.log_json {
            log.json().init();
        } else {
            log.with_target(false).init();
        }
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let (run, directory) = (self.run.as_deref(), self.model_dir.as_deref());
            let server = Server::start(config, run, directory).await?;
            let (address, model) = (server.address(), server.model());
            note(&format!("{model} at {scheme}://{address}/ (API: {scheme}://{address}/docs)"));
            server.run(stopped()).await
        })?;
        Ok(Outcome::Done)
    }
}

/// Returns when the process is asked to end.
async fn stopped() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut ended) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = interrupted => {}
                _ = ended.recv() => {}
            }
            return;
        }
    }
    interrupted.await;
}
