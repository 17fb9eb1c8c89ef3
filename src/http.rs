//! Metrics and health over HTTP, for Prometheus and for whoever restarts services.
//!
//! Never touches engine or store: it shows what others publish. Invariant: a cause that makes the collector unready is named in the answer.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::outbox;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot serve metrics and health on {address}: {cause}; correct http.listen, or stop the program that has the port")]
    Listen { address: SocketAddr, cause: std::io::Error },
    #[error("metrics and health are served no more: {0}")]
    Serve(#[from] std::io::Error),
}

/// What decides whether the collector is ready.
#[derive(Clone, Debug)]
struct Shown {
    metrics: Option<PrometheusHandle>,
    broker: watch::Receiver<bool>,
    outbox: watch::Receiver<outbox::State>,
}

/// Listens; the metrics of this process are recorded from here on.
pub async fn listen(address: SocketAddr) -> Result<(TcpListener, Option<PrometheusHandle>), HttpError> {
    let listener = TcpListener::bind(address).await.map_err(|cause| HttpError::Listen { address, cause })?;
    // A process has one recorder; a second collector in it counts into the first one's, its own page is empty, and the log says why.
    let metrics = PrometheusBuilder::new().install_recorder().inspect_err(|error| warn!(%error, "no metrics")).ok();
    // Shown from the start, so that the first one is seen as an increase.
    metrics::counter!("nengtan_influx_dead_letters_total").increment(0);
    metrics::counter!("nengtan_reloads_total", "outcome" => "kept").increment(0);
    info!(address = %listener.local_addr()?, "serving /metrics, /healthz and /readyz");
    Ok((listener, metrics))
}

/// Serves until the process ends.
pub async fn serve(
    (listener, metrics): (TcpListener, Option<PrometheusHandle>),
    broker: watch::Receiver<bool>,
    outbox: watch::Receiver<outbox::State>,
) -> Result<(), HttpError> {
    let routes = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { json(StatusCode::OK, &serde_json::json!({"status": "ok"})) }))
        .route("/readyz", get(ready));
    Ok(axum::serve(listener, routes.with_state(Shown { metrics, broker, outbox })).await?)
}

async fn show_metrics(State(shown): State<Shown>) -> impl IntoResponse {
    let text = shown.metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// 503 while readings cannot come in; trouble with InfluxDB is told, but the ledger goes on without it.
async fn ready(State(shown): State<Shown>) -> impl IntoResponse {
    let broker = *shown.broker.borrow();
    let state = shown.outbox.borrow().clone();
    let mut causes = Vec::new();
    if !broker {
        causes.push("there is no connection to the broker, or no subscription yet".to_owned());
    }
    causes.extend(state.held.map(|cause| format!("InfluxDB refuses the token: {cause}")));
    causes.extend(state.failing.map(|cause| format!("InfluxDB does not take lines: {cause}")));
    let status = if broker { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &serde_json::json!({"ready": broker, "causes": causes}))
}

fn json(status: StatusCode, body: &serde_json::Value) -> impl IntoResponse + use<> {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string())
}
