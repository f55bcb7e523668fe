//! A listening socket that takes no new clients, before it is closed.
//!
//! Closing a listener resets the connections that wait in its backlog. Their clients have been told
//! that they are connected, and may have sent a request. So first the system is told to ignore
//! requests for new connections, then what waits is accepted, and only then the listener is closed.

use tokio::net::TcpListener;

/// From now on, only clients whose connection has begun get one, where the system can do that.
#[cfg(target_os = "linux")]
pub(super) fn take_no_more(listener: &TcpListener) {
    use socket2::{SockFilter, SockRef};
    /// Load a byte of the segment's header.
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    /// Jump when bits are set.
    const JUMP_IF_SET: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    /// Keep so many bytes of the segment; none is to ignore it.
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    /// Where the flags are in a segment, and the one that begins a connection.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    let filter = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&filter) {
        tracing::debug!(%error, "new clients cannot be kept off the listener");
    }
}

/// From now on, only clients whose connection has begun get one, where the system can do that.
#[cfg(not(target_os = "linux"))]
pub(super) fn take_no_more(_listener: &TcpListener) {}
