//! How the two sides of a native connection greet each other.
//!
//! The server opens stream 2 and says HELLO, with a nonce; the client opens stream 1 and says HELLO, with its name and what shows that it
//! is its own: a token, or a signature over the nonce, the channel binding of the connection and the text, which is worth nothing on
//! another connection. The server answers on stream 1 with ACCEPT, or with REFUSE and the reason.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use sluis_core::data::{Value, hex};
use sluis_core::identity::{PublicKey, SignError, Signer};
use sluis_core::limits::MAX_DID;

use crate::proof::{Purpose, verify_signed};
use crate::write::Object;

/// What each side lets the other send on a new stream once both have said HELLO, in bytes.
pub(crate) const WINDOW: u32 = 64 * 1024;

/// Longest token in bytes.
const MAX_TOKEN: usize = 512;

/// A HELLO that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerHello {
    pub(crate) agent: Box<str>,
    pub(crate) nonce: [u8; 32],
    pub(crate) window: u32,
}

/// What the client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientHello {
    pub(crate) agent: Box<str>,
    pub(crate) window: u32,
    pub(crate) token: Option<Box<str>>,
    /// With which it has signed.
    pub(crate) key: Option<PublicKey>,
    /// It is on a WebSocket as well, and wants to hear there who speaks JSON.
    pub(crate) beside: bool,
}

/// How a client shows who it is.
#[derive(Clone, Copy)]
pub(crate) enum Auth<'a> {
    Nothing,
    Token(&'a str),
    Key(&'a dyn Signer),
}

fn parse(text: &[u8]) -> Result<Value<'_>, Malformed> {
    let value = core::str::from_utf8(text).ok().and_then(|text| Value::from_json(text).ok());
    let value = value.filter(|value| value.is_object()).ok_or(Malformed)?;
    let version = value.get("sluis").and_then(Value::as_number).map(|number| number.to_f64());
    if version == Some(1.0) { Ok(value) } else { Err(Malformed) }
}

fn text(value: Value<'_>, name: &str, most: usize) -> Result<Option<String>, Malformed> {
    let Some(member) = value.get(name) else { return Ok(None) };
    let text = member.as_text().map(|text| text.to_cow().into_owned());
    text.filter(|text| text.len() <= most).map(Some).ok_or(Malformed)
}

fn window(value: Value<'_>) -> Result<u32, Malformed> {
    let window = value.get("window").and_then(Value::as_number).map(|number| number.to_f64()).ok_or(Malformed)?;
    if !(4096.0..=16_777_216.0).contains(&window) {
        return Err(Malformed);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    Ok(window as u32)
}

fn bytes32(value: Value<'_>, name: &str) -> Result<[u8; 32], Malformed> {
    let mut out = [0; 32];
    let text = text(value, name, 64)?.ok_or(Malformed)?;
    hex::parse(text.as_bytes(), &mut out).ok_or(Malformed)?;
    Ok(out)
}

impl ServerHello {
    pub(crate) fn write(&self) -> Vec<u8> {
        let object = Object::new().number("sluis", 1).text("agent", &self.agent).hex("nonce", &self.nonce);
        object.number("window", u64::from(self.window)).finish().into_bytes()
    }

    pub(crate) fn read(body: &[u8]) -> Result<Self, Malformed> {
        let value = parse(body)?;
        Ok(Self {
            agent: text(value, "agent", MAX_DID)?.ok_or(Malformed)?.into(),
            nonce: bytes32(value, "nonce")?,
            window: window(value)?,
        })
    }
}

impl ClientHello {
    /// The body: `0 · JSON`, or `1 · signature · JSON`.
    pub(crate) fn write(
        agent: &str,
        beside: bool,
        auth: Auth<'_>,
        nonce: &[u8; 32],
        exporter: &[u8; 32],
    ) -> Result<Vec<u8>, SignError> {
        let object = Object::new().number("sluis", 1).text("agent", agent).number("window", u64::from(WINDOW));
        let object = if beside { object.bool("beside", true) } else { object };
        let plain = |object: Object| [&[0], object.finish().as_bytes()].concat();
        Ok(match auth {
            Auth::Nothing => plain(object),
            Auth::Token(token) => plain(object.text("token", token)),
            Auth::Key(signer) => {
                let text = object.hex("key", signer.public().as_bytes()).finish();
                let signature = Purpose::Hello.sign(signer, &[nonce, exporter], text.as_bytes())?;
                [&[1], &signature[..], text.as_bytes()].concat()
            }
        })
    }

    /// Read it. A key is one whose signature holds.
    pub(crate) fn read(body: &[u8], nonce: &[u8; 32], exporter: &[u8; 32]) -> Result<Self, Malformed> {
        let (signature, json) = match body.split_first() {
            Some((0, json)) => (None, json),
            Some((1, rest)) => rest.split_first_chunk::<64>().map(|(s, json)| (Some(s), json)).ok_or(Malformed)?,
            _ => return Err(Malformed),
        };
        let value = parse(json)?;
        let key = match signature {
            None => None,
            Some(signature) => {
                let key = PublicKey::from_bytes(bytes32(value, "key")?).map_err(|_| Malformed)?;
                verify_signed(Purpose::Hello, &key, &[nonce, exporter], json, signature).map_err(|_| Malformed)?;
                Some(key)
            }
        };
        Ok(Self {
            agent: text(value, "agent", MAX_DID)?.ok_or(Malformed)?.into(),
            window: window(value)?,
            token: text(value, "token", MAX_TOKEN)?.map(String::into_boxed_str),
            key,
            beside: value.get("beside").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Auth, ClientHello, Malformed, ServerHello, WINDOW};
    use sluis_core::Seed;
    use sluis_core::identity::SecretKey;

    #[test]
    fn a_hello_is_worth_nothing_on_another_connection() {
        let key = SecretKey::generate(&mut Seed::from_u64(1).fork("key"));
        let body = ClientHello::write("alice", false, Auth::Key(&key), &[1; 32], &[2; 32]).unwrap();
        let hello = ClientHello::read(&body, &[1; 32], &[2; 32]).unwrap();
        assert_eq!((&*hello.agent, hello.key, hello.window), ("alice", Some(key.public()), WINDOW));
        assert_eq!(ClientHello::read(&body, &[3; 32], &[2; 32]), Err(Malformed), "another nonce");
        assert_eq!(ClientHello::read(&body, &[1; 32], &[3; 32]), Err(Malformed), "another connection");
        let mut other = body;
        *other.last_mut().unwrap() = b' ';
        assert_eq!(ClientHello::read(&other, &[1; 32], &[2; 32]), Err(Malformed), "another text");
    }

    #[test]
    fn hellos_are_read_as_they_were_written() {
        let server = ServerHello { agent: "node".into(), nonce: [7; 32], window: WINDOW };
        assert_eq!(ServerHello::read(&server.write()), Ok(server));
        let body = ClientHello::write("bob", true, Auth::Token("secret"), &[0; 32], &[0; 32]).unwrap();
        let hello = ClientHello::read(&body, &[9; 32], &[9; 32]).unwrap();
        assert_eq!((hello.token.as_deref(), hello.key, hello.beside), (Some("secret"), None, true));
        for text in
            ["", "{}", "[]", r#"{"sluis":2,"agent":"a","window":65536}"#, r#"{"sluis":1,"agent":"a","window":1}"#]
        {
            let body = [&[0], text.as_bytes()].concat();
            assert_eq!(ClientHello::read(&body, &[0; 32], &[0; 32]), Err(Malformed), "{text}");
        }
    }
}
