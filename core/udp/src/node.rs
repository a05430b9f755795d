//! A node with what the system gives it.

use std::io;

use sluis_core::node::{ConfigError, Node, NodeConfig};
use sluis_core::{Did, DidError};

use crate::{SystemClock, system_seed};

/// Why [`node`] made none.
#[derive(Debug)]
#[non_exhaustive]
pub enum NewNodeError {
    /// The name is no DID.
    Did(DidError),
    /// The system has no randomness to give.
    Seed(io::Error),
    /// The defaults do not fit.
    Config(ConfigError),
}

impl std::fmt::Display for NewNodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Did(error) => error.fmt(f),
            Self::Seed(error) => write!(f, "the system has no randomness: {error}"),
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NewNodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Did(error) => Some(error),
            Self::Seed(error) => Some(error),
            Self::Config(error) => Some(error),
        }
    }
}

/// A node of this name with the default settings and a fresh seed of the system's. It refuses packets stamped before this call
/// ([`NodeConfig::not_before`]): a node that starts remembers no packet, so it could not tell a replay of older ones.
///
/// For other settings: [`Node::new`] with a [`system_seed`].
///
/// # Errors
/// The name is no DID, or the system has no randomness.
pub fn node(did: &str) -> Result<Node, NewNodeError> {
    let mut config = NodeConfig::new(Did::new(did).map_err(NewNodeError::Did)?);
    config.not_before = Some(SystemClock::new().now().wall);
    let seed = system_seed().map_err(NewNodeError::Seed)?;
    Node::new(config, &seed).map_err(NewNodeError::Config)
}

#[cfg(test)]
mod tests {
    use super::node;

    #[test]
    fn a_node_has_its_name_or_a_reason() {
        assert!(node("jis:home:hub").is_ok());
        assert_eq!(node("").unwrap_err().to_string(), "a DID must not be empty");
        assert!(node(&"x".repeat(300)).is_err());
    }
}
