//! Lists over HTTP: takes events, keeps them, serves lists from trained runs, and shows what happens.
//!
//! A request goes from its route (`routes`) to the person's memory (`memory`), takes the counter that answers
//! (`models`) and has a scoring thread make the list (`pool`). Events are acknowledged after the store has committed
//! them ([`store`]), and then known to memory, experiments and statistics.

mod app;
mod config;
mod experiments;
mod keys;
mod list_id;
mod live;
mod memory;
mod models;
mod pool;
mod presets;
mod problem;
mod routes;
mod sequential;
pub mod store;
mod telemetry;
mod training;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;

pub use config::{ServerConfig, StartError, Tls, TrainConfig};
pub use keys::{KeyConfig, Role, new_key};

use app::App;

/// Longest time that requests may take to finish when the server goes down.
const DRAIN: Duration = Duration::from_secs(20);

/// A server that listens.
pub struct Server {
    app: Arc<App>,
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// The description of the API (OpenAPI 3.1), as JSON.
pub fn openapi() -> String {
    let (_, api) = routes::routes();
    api.to_pretty_json().expect("the description is JSON")
}

impl Server {
    /// Opens store and model and begins to listen. `run` is the folder of one run, `directory` one of several.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration, the store, the run or the address.
    pub async fn start(
        config: ServerConfig,
        run: Option<&Path>,
        directory: Option<&Path>,
    ) -> Result<Self, StartError> {
        let (listen, tls) = (config.listen, config.tls.clone());
        let head_time = Duration::from_secs(config.read_seconds);
        let listening = |error: std::io::Error| StartError::Listen(listen, error);
        let listener = std::net::TcpListener::bind(listen).map_err(listening)?;
        listener.set_nonblocking(true).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        // Large, and needed once.
        let app = Box::pin(App::start(config, run, directory)).await?;
        let service = routes::service(&app).into_make_service();
        let handle = Handle::new();
        let serving = match tls {
            None => {
                let mut server =
                    axum_server::from_tcp(listener).map_err(listening)?.handle(handle.clone());
                let mut http = server.http_builder().http1();
                http.timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(head_time);
                tokio::spawn(server.serve(service))
            }
            Some(tls) => {
                let files = format!("{} and {}", tls.certificate.display(), tls.key.display());
                let unread = |error| StartError::Io(format!("{files}: {error}"));
                let config = RustlsConfig::from_pem_file(&tls.certificate, &tls.key);
                let config = config.await.map_err(unread)?;
                let mut server = axum_server::from_tcp_rustls(listener, config)
                    .map_err(listening)?
                    .handle(handle.clone());
                let mut http = server.http_builder().http1();
                http.timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(head_time);
                tokio::spawn(server.serve(service))
            }
        };
        Ok(Self { app, address, handle, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The model that answers.
    pub fn model(&self) -> String {
        self.app.models.serving().model.name.clone()
    }

    /// Serves until `stop` is done, then lets requests finish, and closes the store.
    ///
    /// # Errors
    ///
    /// Where listening fails.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let Self { app, handle, mut serving, .. } = self;
        let ended = tokio::select! {
            ended = &mut serving => Some(ended),
            () = stop => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                tracing::info!("going down: requests may finish");
                app.drain();
                handle.graceful_shutdown(Some(DRAIN));
                serving.await
            }
        };
        app.store.close().await;
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(StartError::Io(error.to_string())),
            Err(error) => Err(StartError::Io(format!("serving ended: {error}"))),
        }
    }
}
