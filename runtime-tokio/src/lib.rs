//! sluis-tokio
