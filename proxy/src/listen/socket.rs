//! The sockets that workers accept from.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// Connections that wait to be accepted, per socket. The kernel caps it (`net.core.somaxconn`).
const BACKLOG: u32 = 1024;

/// Binds `count` sockets to one address, between which the kernel spreads connections (`SO_REUSEPORT`), and says which
/// address that is: port 0 takes a free one. Must be called within a runtime; the sockets can be taken to another one.
///
/// # Errors
/// The address is not to be had, also because another process of the same user listens there: sharing is for the
/// workers of one process.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    if address.port() != 0 {
        // Without SO_REUSEPORT this fails beside any listener. It never listens itself, so it meets no client.
        let alone = open(address)?;
        alone.bind(address)?;
    }
    let mut sockets = Vec::with_capacity(count);
    let mut bound = address;
    for _ in 0..count.max(1) {
        let socket = open(address)?;
        if count > 1 {
            socket.set_reuseport(true)?;
        }
        socket.bind(bound)?;
        let socket = socket.listen(BACKLOG)?.into_std()?;
        bound = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok((bound, sockets))
}

fn open(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of a process that ended a moment ago do not keep its address.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn workers_share_an_address_and_strangers_do_not_get_it() {
        for count in [1, 3] {
            let (address, sockets) = bind("127.0.0.1:0".parse().unwrap(), count).unwrap();
            assert_eq!(sockets.len(), count);
            assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
            let taken = bind(address, 3).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "{count}");
            drop(sockets);
            bind(address, count).unwrap();
        }
    }
}
