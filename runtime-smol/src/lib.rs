//! sluis-smol
