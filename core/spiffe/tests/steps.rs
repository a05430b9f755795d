//! Steps sealed by SPIFFE workloads, and judged offline.

mod common;

use common::{DRONE, Forge, HOUR, NOON, at, key, moment, p256, rsa, svid_params};
use sluis_core::Wall;
use sluis_core::chain::token::{Authority as _, Seal as _, SealError, Token, Verdict, signed_text};
use sluis_core::framing::{Text, Value};
use sluis_core::time::iso;
use sluis_spiffe::{MAX_SEAL, SealFault, SpiffeAuthority, Svid};

fn stamp(seconds: i64) -> String {
    iso::format(at(seconds), &mut [0; iso::FORMAT_LEN]).to_owned()
}

/// What a test may get wrong about a step.
struct Draft {
    action: &'static str,
    actor: String,
    ended: i64,
    eromheen: String,
}

impl Draft {
    fn by(svid: &Svid) -> Self {
        Self {
            action: "step_completed",
            actor: svid.id().to_string(),
            ended: NOON,
            eromheen: format!(
                r#"{{"duration_ms": 1.5, "node": "n1", "spiffe": {}, "started_at": "{}"}}"#,
                svid.binding().to_json(),
                stamp(NOON)
            ),
        }
    }

    /// The finished line, sealed at its own time.
    fn sealed(&self, svid: &Svid) -> String {
        self.sealed_at(svid, at(self.ended)).expect("valid then")
    }

    fn sealed_at(&self, svid: &Svid, now: Wall) -> Result<String, SealError> {
        let timestamp = stamp(self.ended);
        let token = Token {
            token_id: Text::new("step_0123456789abcdef_0123456789ab"),
            action: Text::new(self.action),
            timestamp: Text::new(&timestamp),
            actor: Text::new(&self.actor),
            erin: Value::from_json(r#"{"output_hash": "00", "sequence": 1, "status": "completed", "step": "fly"}"#)
                .expect("JSON"),
            eromheen: Value::from_json(&self.eromheen).expect("JSON"),
            erachter: Text::new("Execute step 'fly'"),
            ..Token::default()
        };
        let hash = token.content_hash(None).expect("it has a canonical text");
        let seal = svid.seal_at(now);
        let mut room = vec![0; seal.max_len()];
        let length = seal.seal(&signed_text(&hash), &mut room)?;
        let seal = Token::seal_text(&room[..length]).expect("printable");
        let hex = hash.to_hex();
        let mut line = Vec::new();
        let hash = Text::new(str::from_utf8(&hex).expect("digits"));
        token.with(hash, seal).write_json(&mut line).expect("room");
        Ok(String::from_utf8(line).expect("ASCII"))
    }
}

/// What a verifier says of a line: its hash first, as every verifier does.
fn judge(authority: &SpiffeAuthority, line: &str) -> Result<String, SealFault> {
    let token = Token::parse(line).expect("a token");
    let hash = token.said_hash().expect("a hash");
    let found = authority.judge(&token, &signed_text(&hash));
    let verdict = authority.check(&token, &signed_text(&hash));
    match &found {
        Ok(_) => assert_eq!(verdict, Verdict::Good),
        Err(fault) => assert_eq!(verdict, fault.verdict()),
    }
    found.map(|id| id.to_string())
}

#[test]
fn every_kind_of_key_seals_a_step() {
    let forge = Forge::new("fleet.example");
    let authority = SpiffeAuthority::new(forge.bundles());
    for key in [p256(), key(&rcgen::PKCS_ECDSA_P384_SHA384), key(&rcgen::PKCS_ED25519), rsa()] {
        let svid = forge.issue(&svid_params(DRONE), &key).expect("an SVID");
        let line = Draft::by(&svid).sealed(&svid);
        assert_eq!(Token::parse(&line).expect("a token").verify(None), Ok(()));
        assert_eq!(judge(&authority, &line).expect("it holds"), DRONE, "{:?}", svid.algorithm());
    }
}

#[test]
fn no_changed_step_is_good() {
    let forge = Forge::new("fleet.example");
    let authority = SpiffeAuthority::new(forge.bundles());
    let svid = forge.svid(DRONE);
    let line = Draft::by(&svid).sealed(&svid);
    let mut tried = 0;
    for position in 0..line.len() {
        let mut bytes = line.clone().into_bytes();
        bytes[position] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let Ok(token) = Token::parse(&changed) else { continue };
        tried += 1;
        let good = token.verify(None).is_ok() && token.check_seal(&authority) == Verdict::Good;
        assert!(!good, "{changed}");
    }
    assert!(tried > 1500, "{tried}");
}

#[test]
fn the_hash_of_another_step_is_not_sealed() {
    let forge = Forge::new("fleet.example");
    let authority = SpiffeAuthority::new(forge.bundles());
    let svid = forge.svid(DRONE);
    let draft = Draft::by(&svid);
    let line = draft.sealed(&svid);
    let other = Draft { ended: NOON + 1, ..draft }.sealed(&svid);
    let seal = |line: &str| Token::parse(line).expect("a token").signature.as_str().expect("plain").to_owned();
    let swapped = line.replace(&seal(&line), &seal(&other));
    assert_eq!(Token::parse(&swapped).expect("a token").verify(None), Ok(()));
    assert!(matches!(judge(&authority, &swapped), Err(SealFault::Signature { .. })));
}

#[test]
fn the_actor_is_who_sealed_it() {
    let forge = Forge::new("fleet.example");
    let authority = SpiffeAuthority::new(forge.bundles());
    let svid = forge.svid(DRONE);
    let other = Draft { actor: "spiffe://fleet.example/drone/8".to_owned(), ..Draft::by(&svid) };
    let fault = judge(&authority, &other.sealed(&svid)).expect_err("another actor");
    assert_eq!(
        fault.to_string(),
        format!("it names \"spiffe://fleet.example/drone/8\" as who did it, and {DRONE} sealed it")
    );
}

#[test]
fn the_identity_is_bound_into_the_step() {
    let forge = Forge::new("fleet.example");
    let authority = SpiffeAuthority::new(forge.bundles());
    let svid = forge.svid(DRONE);
    let with = |change: &dyn Fn(String) -> String| {
        let draft = Draft::by(&svid);
        let eromheen = change(draft.eromheen.clone());
        assert_ne!(eromheen, draft.eromheen);
        judge(&authority, &Draft { eromheen, ..draft }.sealed(&svid))
    };
    let expiry = with(&|text| text.replace(&stamp(NOON + HOUR), &stamp(NOON + HOUR + 1)));
    assert!(matches!(expiry, Err(SealFault::Binding("expires_at"))), "{expiry:?}");
    let id = with(&|text| text.replace(DRONE, "spiffe://fleet.example/drone/8"));
    assert!(matches!(id, Err(SealFault::Binding("id"))), "{id:?}");
    let sha256 = svid.binding().certificate_sha256;
    let leaf = with(&|text| text.replace(&sha256, &sha256.chars().rev().collect::<String>()));
    assert!(matches!(leaf, Err(SealFault::Binding("certificate_sha256"))), "{leaf:?}");
    let none = with(&|text| text.replace("\"spiffe\"", "\"spiff\""));
    assert!(matches!(none, Err(SealFault::Binding("id"))), "{none:?}");

    // The first and last token of a workload are no steps, and hold no identity.
    let created = Draft { action: "workload_created", eromheen: r#"{"node": "n1"}"#.to_owned(), ..Draft::by(&svid) };
    judge(&authority, &created.sealed(&svid)).expect("only steps must hold it");
    let lying = Draft { eromheen: Draft::by(&svid).eromheen.replace(&sha256, "00"), ..created };
    judge(&authority, &lying.sealed(&svid)).expect_err("what it holds must be true");
}

#[test]
fn a_step_ends_while_the_certificate_is_valid() {
    let forge = Forge::new("fleet.example");
    let authority = SpiffeAuthority::new(forge.bundles());
    let svid = forge.svid(DRONE);
    let late = Draft { ended: NOON + HOUR + 1, ..Draft::by(&svid) };
    assert_eq!(late.sealed_at(&svid, at(late.ended)), Err(SealError::NotValid));
    let early = at(NOON - HOUR - 1);
    assert_eq!(late.sealed_at(&svid, early), Err(SealError::NotValid));

    // Somebody who keeps an old key and seals all the same: warm and cold.
    let stolen = late.sealed_at(&svid, at(NOON)).expect("the clock was set back");
    assert!(matches!(judge(&authority, &stolen), Err(SealFault::Untrusted(_))));
    judge(&authority, &Draft::by(&svid).sealed(&svid)).expect("good");
    assert!(matches!(judge(&authority, &stolen), Err(SealFault::Untrusted(_))));
    let last = Draft { ended: NOON + HOUR, ..Draft::by(&svid) };
    judge(&authority, &last.sealed(&svid)).expect("its last second");
    let fraction = last.sealed(&svid);
    let token = Token::parse(&fraction).expect("a token");
    let half = stamp(NOON + HOUR).replace("+00:00", ".500000+00:00");
    let beyond = Token { timestamp: Text::new(&half), ..token };
    let hash = beyond.content_hash(None).expect("a hash");
    let mut room = [0; 8192];
    let seal = svid.seal_at(at(NOON));
    let length = seal.seal(&signed_text(&hash), &mut room).expect("room");
    let beyond = Token { signature: Token::seal_text(&room[..length]).expect("plain"), ..beyond };
    assert!(matches!(authority.judge(&beyond, &signed_text(&hash)), Err(SealFault::Expired { .. })));
    let timeless = Token { timestamp: Text::new("noon"), ..beyond };
    assert!(matches!(authority.judge(&timeless, &signed_text(&hash)), Err(SealFault::Timestamp)));
}

#[test]
fn strangers_are_unknown_and_impostors_are_bad() {
    let (fleet, mill) = (Forge::new("fleet.example"), Forge::new("mill.example"));
    let authority = SpiffeAuthority::new(fleet.bundles());
    let stranger = mill.svid("spiffe://mill.example/saw");
    let fault = judge(&authority, &Draft::by(&stranger).sealed(&stranger)).expect_err("no bundle");
    assert_eq!(fault.verdict(), Verdict::Unknown);
    assert_eq!(
        fault.to_string(),
        "there is no trust bundle for \"mill.example\", the trust domain of spiffe://mill.example/saw"
    );
    let impostor = mill.svid(DRONE);
    let fault = judge(&authority, &Draft::by(&impostor).sealed(&impostor)).expect_err("not its authority");
    assert_eq!(fault.verdict(), Verdict::Unknown);
    let twin = Forge::new("fleet.example").svid(DRONE);
    let fault = judge(&authority, &Draft::by(&twin).sealed(&twin)).expect_err("a wrong signature");
    assert_eq!(fault.verdict(), Verdict::Bad);
}

#[test]
fn another_key_with_the_right_certificate_is_bad() {
    let forge = Forge::new("fleet.example");
    let authority = SpiffeAuthority::new(forge.bundles());
    let (honest, thief) = (forge.svid(DRONE), forge.svid(DRONE));
    let draft = Draft::by(&honest);
    let certificates = |svid: &Svid| {
        let line = Draft::by(svid).sealed(svid);
        let seal = Token::parse(&line).expect("a token").signature.to_cow().into_owned();
        seal.splitn(3, ':').nth(2).expect("a chain").to_owned()
    };
    let forged = draft.sealed(&thief).replace(&certificates(&thief), &certificates(&honest));
    assert!(matches!(judge(&authority, &forged), Err(SealFault::Signature { .. })));
}

#[test]
fn a_rotated_svid_and_a_rotated_root_both_verify() {
    let (old, new) = (Forge::new("fleet.example"), Forge::new("fleet.example"));
    let mut later = svid_params(DRONE);
    later.not_before = moment(NOON);
    later.not_after = moment(NOON + 2 * HOUR);
    let first = old.svid(DRONE);
    let second = old.issue(&later, &p256()).expect("rotated");
    let third = new.issue(&later, &p256()).expect("under a new root");
    let mut bundles = old.bundles();
    bundles.add(None, &[new.root.der().clone()]).expect("both roots");
    let authority = SpiffeAuthority::new(bundles);
    let lines = [(&first, NOON), (&second, NOON + 1), (&third, NOON + HOUR + 1)]
        .map(|(svid, ended)| Draft { ended, ..Draft::by(svid) }.sealed(svid));
    for _ in 0..2 {
        for line in &lines {
            judge(&authority, line).expect("each with the SVID of its time");
        }
    }
}

#[test]
fn what_a_stranger_writes_into_a_seal_is_refused() {
    let forge = Forge::new("fleet.example");
    let authority = SpiffeAuthority::new(forge.bundles());
    let svid = forge.svid(DRONE);
    let line = Draft::by(&svid).sealed(&svid);
    let token = Token::parse(&line).expect("a token");
    let hash = token.said_hash().expect("a hash");
    let seal = token.signature.to_cow().into_owned();
    let leaf = seal.splitn(3, ':').nth(2).expect("a chain").to_owned();
    let signature = seal.split(':').nth(1).expect("a signature").to_owned();
    let judged = |seal: &str| authority.judge(&Token { signature: Text::new(seal), ..token }, &signed_text(&hash));
    assert!(matches!(judged(""), Err(SealFault::Unsigned)));
    assert!(matches!(judged("ed25519:00:00"), Err(SealFault::OtherKind)));
    for broken in [
        "x509:".to_owned(),
        "x509::".to_owned(),
        format!("x509:{signature}"),
        format!("x509:{signature}="),
        format!("x509:{signature}:"),
        format!("x509:{signature}:*"),
        format!("x509:{signature}:{leaf}:"),
        format!("x509:{signature}{}", format!(":{leaf}").repeat(9)),
        format!("x509:{signature}:{}", "A".repeat(MAX_SEAL)),
        format!("x509:{signature}:MAMCAQE="),
        format!("X509:{signature}:{leaf}"),
    ] {
        assert!(judged(&broken).is_err(), "{broken}");
    }
    judged(&seal).expect("as it was");
    for length in 0..seal.len() {
        assert!(judged(&seal[..length]).is_err(), "cut at {length}");
    }
    // Certificates that nobody needs are no harm; those that are needed must be there.
    let only_leaf = format!("x509:{signature}:{}", leaf.split(':').next().expect("a leaf"));
    assert_eq!(judged(&only_leaf).expect_err("no path").verdict(), Verdict::Unknown);
}

#[test]
fn a_short_buffer_says_how_much_it_takes() {
    let forge = Forge::new("fleet.example");
    let svid = forge.svid(DRONE);
    let seal = svid.seal_at(at(NOON));
    let need = seal.max_len();
    let mut room = vec![0; need];
    assert_eq!(seal.seal(b"text", &mut room[..need - 1]), Err(SealError::NoRoom { need }));
    assert_eq!(seal.seal(b"text", &mut room), Ok(need));
}
