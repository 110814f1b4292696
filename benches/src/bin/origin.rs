//! A store that costs little: answers `GET /bench/<size>/…` with so many bytes from memory, swallows what is put.
//!
//! One thread, plain HTTP/1.1; the same bytes every time. Prints its address when it listens.
#![expect(clippy::print_stdout, reason = "whoever starts it waits for its address")]

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use clap::Parser;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sigward_benches::load::object_size;
use sigward_benches::payload::pattern;
use tokio::net::{TcpListener, TcpStream};

/// The largest object it has.
const LARGEST: usize = 64 << 20;

#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let socket = TcpListener::bind(Options::parse().listen).await?;
    let objects = pattern(LARGEST);
    println!("{}", socket.local_addr()?);
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, objects.clone()));
    }
}

async fn serve(stream: TcpStream, objects: Bytes) {
    let service = service_fn(move |request| {
        let objects = objects.clone();
        async move { Ok::<_, Infallible>(answer(request, &objects).await) }
    });
    // A connection that breaks is the other side's to report.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(request: Request<Incoming>, objects: &Bytes) -> Response<Full<Bytes>> {
    let size = object_size(request.uri().path()).filter(|size| *size <= LARGEST);
    let mut response = Response::new(Full::default());
    match (request.method(), size) {
        (&Method::GET, Some(size)) => {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            *response.body_mut() = Full::new(objects.slice(..size));
        }
        (&Method::PUT, Some(_)) => {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            if !hyper::body::Body::is_end_stream(&body) {
                *response.status_mut() = StatusCode::BAD_REQUEST;
            }
        }
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response.headers_mut().insert(ETAG, HeaderValue::from_static("\"00000000000000000000000000000000\""));
    response
}
