//! Where nobody may be sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Where EC2 answers for its credentials over IPv6: not link-local, as every other such address is.
const EC2_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Which addresses may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Whatever an operator in a cluster can have a reason to ask.
    Network,
    /// This machine, too.
    Everything,
}

impl Guard {
    /// Whether this address may be reached.
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Everything => true,
            Self::Network => match address.to_canonical() {
                IpAddr::V4(v4) => reachable_v4(v4),
                IpAddr::V6(v6) => reachable_v6(v6),
            },
        }
    }
}

fn reachable_v4(address: Ipv4Addr) -> bool {
    let this_network = address.octets().first() == Some(&0);
    !(address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || this_network)
}

fn reachable_v6(address: Ipv6Addr) -> bool {
    // An IPv4 address in an IPv6 one that a gateway translates (RFC 6052) or that nobody uses any more (RFC 4291).
    let inner = match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => {
            Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
        }
        _ => Ipv4Addr::new(192, 0, 2, 1),
    };
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address == EC2_METADATA)
        && reachable_v4(inner)
}

/// Resolves names, and leaves out what may not be reached. It is asked at each connection, so a name that means
/// something else by then changes nothing.
pub(crate) struct Names(pub Guard);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found.iter().copied().filter(|a| guard.allows(a.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(Forbidden.into());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("its address may not be reached from here")]
pub(crate) struct Forbidden;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_and_the_network_itself_are_out_of_reach() {
        for address in [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "fd00:ec2::254",
        ] {
            let parsed = address.parse().unwrap();
            assert!(!Guard::Network.allows(parsed), "{address}");
            assert!(Guard::Everything.allows(parsed), "{address}");
        }
    }

    #[test]
    fn clusters_and_the_world_are_reached() {
        for address in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "8.8.8.8",
            "fd12::1",
            "2001:db8::1",
            "64:ff9b::808:808",
        ] {
            assert!(Guard::Network.allows(address.parse().unwrap()), "{address}");
        }
    }
}
