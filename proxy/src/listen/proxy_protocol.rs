//! The PROXY protocol, versions 1 and 2: how a load balancer says whose connection it hands on.
//!
//! Whoever is believed must send a header, and nobody else's is looked at: a stranger's is a bad request like any
//! other bytes that are no HTTP. The header is consumed to its last byte and no further.
//!
//! Source: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::AsyncRead;

use super::prefixed::Prefixed;

/// The longest header of version 1, its line end included (2.1).
const LONGEST_LINE: usize = 107;
/// What comes before the addresses in version 2 (2.2).
const FIXED: usize = 16;
/// The longest header of version 2 that is read. Extensions fit in, names and checksums among them; nothing forces
/// a length of 64 KiB on us.
const LONGEST_BINARY: usize = 4 << 10;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const WORD: &[u8] = b"PROXY ";

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
enum Beginning {
    /// The beginning of a header; so many bytes have to be there before more can be said.
    Wants(usize),
    /// A header of this many bytes.
    Header(usize, Option<SocketAddr>),
    /// No header.
    Other,
}

/// Takes the header off the stream. `None`: it speaks for nobody, as in health checks of the load balancer itself, and
/// the address of the connection is the one that counts.
///
/// # Errors
/// There is no header, or none that can be read; the stream failed or ended.
pub(super) async fn take<S: AsyncRead + Unpin>(stream: &mut Prefixed<S>) -> io::Result<Option<SocketAddr>> {
    loop {
        match beginning(stream.ahead()) {
            Beginning::Header(length, source) => {
                stream.skip(length);
                return Ok(source);
            }
            Beginning::Other => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no PROXY header"));
            }
            Beginning::Wants(length) => {
                if !stream.read_ahead(length).await? {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

fn beginning(bytes: &[u8]) -> Beginning {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(have, want)| have == want);
    if begins(SIGNATURE) {
        binary(bytes)
    } else if begins(WORD) {
        line(bytes)
    } else {
        Beginning::Other
    }
}

fn line(bytes: &[u8]) -> Beginning {
    let most = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = most.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 2) else {
        return if most.len() < LONGEST_LINE { Beginning::Wants(LONGEST_LINE) } else { Beginning::Other };
    };
    let Some(Ok(header)) = std::str::from_utf8(&bytes[..end]).ok().map(v1::Header::try_from) else {
        return Beginning::Other;
    };
    let source = match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(v4) => Some((v4.source_address, v4.source_port).into()),
        v1::Addresses::Tcp6(v6) => Some((v6.source_address, v6.source_port).into()),
    };
    Beginning::Header(end, source)
}

fn binary(bytes: &[u8]) -> Beginning {
    let Some(&[high, low]) = bytes.get(FIXED - 2..FIXED) else { return Beginning::Wants(FIXED) };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_BINARY {
        return Beginning::Other;
    }
    let Some(whole) = bytes.get(..length) else { return Beginning::Wants(length) };
    let Ok(header) = v2::Header::try_from(whole) else { return Beginning::Other };
    let source = match (header.command, header.addresses) {
        (v2::Command::Local, _) => None,
        (v2::Command::Proxy, v2::Addresses::IPv4(v4)) => Some((v4.source_address, v4.source_port).into()),
        (v2::Command::Proxy, v2::Addresses::IPv6(v6)) => Some((v6.source_address, v6.source_port).into()),
        (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
    };
    Beginning::Header(length, source)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Command, family and protocol, addresses.
    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[0x20 | command, family], &length, addresses].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];

    #[test]
    fn both_versions_say_whose_connection_it_is() {
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        v6[15] = 7;
        v6[32..34].copy_from_slice(&[0, 80]);
        let with_extension = [&V4[..], &[0x20, 0, 2, 1, 2]].concat();
        for (header, source) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n".to_vec(), Some("192.0.2.7:8080")),
            (b"PROXY TCP6 2001:db8::7 ::1 80 443\r\n".to_vec(), Some("[2001:db8::7]:80")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (v2(1, 0x11, &V4), Some("192.0.2.7:8080")),
            (v2(1, 0x21, &v6), Some("[2001:db8::7]:80")),
            (v2(1, 0x11, &with_extension), Some("192.0.2.7:8080")),
            (v2(0, 0x11, &V4), None),
            (v2(0, 0, &[]), None),
            (v2(1, 0, &[]), None),
            (v2(1, 0x31, &[0; 216]), None),
        ] {
            let expected = Beginning::Header(header.len(), source.map(|source| source.parse().unwrap()));
            // What follows is not the header's, whatever it is.
            for rest in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0xff, 0xfe]] {
                assert_eq!(beginning(&[&header, rest].concat()), expected, "{header:?}");
            }
            for end in 0..header.len() {
                let partial = beginning(&header[..end]);
                assert!(
                    matches!(partial, Beginning::Wants(more) if more > end),
                    "{header:?} {end} {partial:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_header_is_none() {
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PRI * HTTP/2.0\r\n",
            b"proxy TCP4 192.0.2.7 10.0.0.1 8080 80\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080\r\n",
            b"PROXY TCP4 192.0.2.300 10.0.0.1 8080 80\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 80 443\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 70000 80\r\n",
            b"PROXY UDP4 192.0.2.7 10.0.0.1 8080 80\r\n",
            b"PROXY \xff\xfe\r\n",
            &long,
            &v2(2, 0x11, &V4),
            &v2(1, 0x11, &V4[..8]),
            &v2(1, 0x41, &V4),
            &v2(1, 0x11, &[0; LONGEST_BINARY]),
        ] {
            assert_eq!(beginning(bytes), Beginning::Other, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_header_is_consumed_to_its_last_byte_however_it_is_cut() {
        let wire = [&v2(1, 0x11, &V4)[..], b"GET /"].concat();
        for cut in 1..wire.len() {
            let (first, second) = wire.split_at(cut);
            let mut stream = Prefixed::new(tokio::io::AsyncReadExt::chain(first, second));
            assert_eq!(take(&mut stream).await.unwrap(), Some("192.0.2.7:8080".parse().unwrap()));
            let mut rest = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut rest).await.unwrap();
            assert_eq!(rest, "GET /");
        }
        assert!(take(&mut Prefixed::new(&wire[..20])).await.is_err(), "it ends too early");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(head in 0..3usize, bytes: Vec<u8>) {
            let wire = [[&b""[..], SIGNATURE, WORD][head], &bytes].concat();
            match beginning(&wire) {
                Beginning::Header(length, _) => prop_assert!(length <= wire.len()),
                Beginning::Wants(length) => prop_assert!(wire.len() < length && length <= LONGEST_BINARY),
                Beginning::Other => {}
            }
        }
    }
}
