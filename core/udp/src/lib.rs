//! sluis-udp
