//! Steps sealed by SPIFFE workloads, and judged offline.

use crate::common::{DRONE, Forge, HOUR, NOON, at, key, moment, p256, rsa, svid_params};
use sluis_chain::token::{Authority as _, Hash32, Seal as _, SealError, Token, Verdict, signed_text};
use sluis_chain::workload::check::StepVerifier;
use sluis_chain::workload::{
    After, Data, MAX_LINE, NewStep, NewWorkload, Protection, Spiffe, Step, StepId, StepStatus, Workload, WorkloadId,
    WriteError,
};
use sluis_core::framing::{Text, Value};
use sluis_core::table::Heap;
use sluis_core::time::iso;
use sluis_core::{Instant, Now, Seed, Wall};
use sluis_spiffe::{MAX_SEAL, SealFault, SpiffeAuthority, Svid};

fn stamp(seconds: i64) -> String {
    iso::format(at(seconds), &mut [0; iso::FORMAT_LEN]).to_owned()
}

/// What a test may get wrong about a step.
#[derive(Clone)]
struct Draft {
    actor: String,
    ended: i64,
    /// ID, end in seconds, certificate.
    spiffe: Option<(String, i64, Hash32)>,
}

impl Draft {
    fn by(svid: &Svid) -> Self {
        let Spiffe { expires_at, certificate, .. } = svid.binding();
        let id = svid.id_text().to_owned();
        Self { actor: id.clone(), ended: NOON, spiffe: Some((id, expires_at.as_micros() / 1_000_000, certificate)) }
    }

    /// The finished line, sealed at its own time.
    fn sealed(&self, svid: &Svid) -> String {
        self.sealed_at(svid, at(self.ended)).expect("valid then")
    }

    fn sealed_at(&self, svid: &Svid, now: Wall) -> Result<String, WriteError> {
        let step = Step {
            workload_id: WorkloadId::parse("0123456789abcdef").expect("an id"),
            step_id: StepId::parse("0123456789ab").expect("an id"),
            name: Text::new("fly"),
            sequence: 1,
            status: StepStatus::Completed,
            executor: Text::new(&self.actor),
            node: Text::new("n1"),
            intent: None,
            independent: false,
            input: None,
            output: Some(Hash32([7; 32])),
            started: Some(at(NOON - 1)),
            ended: at(self.ended),
            duration_ms: 1.5,
            error: Text::EMPTY,
            finding: None,
            metadata: Value::EMPTY_OBJECT,
            spiffe: self.spiffe.as_ref().map(|(id, expires_at, certificate)| Spiffe {
                id: Text::new(id),
                expires_at: at(*expires_at),
                certificate: *certificate,
            }),
            after: After { step: None, token: Hash32([1; 32]), output: None },
        };
        let seal = svid.seal_at(now);
        let mut room = vec![0; MAX_LINE];
        let written = step.write(&Protection { seal: Some(&seal), ..Protection::default() }, &mut room)?;
        room.truncate(written.len);
        Ok(String::from_utf8(room).expect("ASCII"))
    }
}

/// The first token of a workload, which is no step.
fn created(svid: &Svid) -> String {
    let mut rng = Seed::from_u64(1).fork("created");
    let new = NewWorkload { name: "survey", actor: svid.id_text(), ..NewWorkload::default() };
    let now = Now::new(Instant::ZERO, at(NOON));
    let mut workload: Workload<Heap> = Workload::new(now, &new, &mut rng).expect("a workload");
    let seal = svid.seal_at(at(NOON));
    let mut room = vec![0; MAX_LINE];
    let protection = Protection { seal: Some(&seal), ..Protection::default() };
    let written = workload.poll_token(&protection, &mut room).expect("a token").expect("room");
    room.truncate(written.len);
    String::from_utf8(room).expect("ASCII")
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
    let with = |spiffe| judge(&authority, &Draft { spiffe, ..Draft::by(&svid) }.sealed(&svid));
    let (id, expires_at, certificate) = Draft::by(&svid).spiffe.expect("bound");
    let expiry = with(Some((id.clone(), expires_at + 1, certificate)));
    assert!(matches!(expiry, Err(SealFault::Binding("expires_at"))), "{expiry:?}");
    let other = with(Some(("spiffe://fleet.example/drone/8".to_owned(), expires_at, certificate)));
    assert!(matches!(other, Err(SealFault::Binding("id"))), "{other:?}");
    let leaf = with(Some((id, expires_at, Hash32([0; 32]))));
    assert!(matches!(leaf, Err(SealFault::Binding("certificate_sha256"))), "{leaf:?}");
    let none = with(None);
    assert!(matches!(none, Err(SealFault::Binding("id"))), "{none:?}");

    // The first and last token of a workload are no steps, and hold no identity.
    judge(&authority, &created(&svid)).expect("only steps must hold it");
}

#[test]
fn a_step_ends_while_the_certificate_is_valid() {
    let forge = Forge::new("fleet.example");
    let authority = SpiffeAuthority::new(forge.bundles());
    let svid = forge.svid(DRONE);
    let late = Draft { ended: NOON + HOUR + 1, ..Draft::by(&svid) };
    for then in [late.ended, NOON - HOUR - 1] {
        assert_eq!(late.sealed_at(&svid, at(then)), Err(WriteError::Seal(SealError::NotValid)));
    }

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

/// A whole workload: coordinated by one SPIFFE workload, its steps run by two others, one of which is rotated on the way.
#[test]
fn a_chain_of_several_executors_is_verified_whole() {
    let forge = Forge::new("fleet.example");
    let dispatch = forge.svid("spiffe://fleet.example/dispatch");
    let (drone, mill) = (forge.svid(DRONE), forge.svid("spiffe://fleet.example/mill"));
    let rotated = forge.svid(DRONE);
    let mut rng = Seed::from_u64(1).fork("chain");
    let new = NewWorkload {
        name: "survey",
        owner: "ops",
        spiffe_id: dispatch.id_text(),
        actor: dispatch.id_text(),
        ..NewWorkload::default()
    };
    let now = |n: u32| {
        let wall = at(NOON).saturating_add(core::time::Duration::from_secs(n.into()));
        Now::new(Instant::from_nanos(u64::from(n) * 1_000_000_000), wall)
    };
    let mut workload: Workload<Heap> = Workload::new(now(0), &new, &mut rng).expect("a workload");
    let (mut lines, mut room) = (Vec::new(), vec![0; MAX_LINE]);
    let mut write = |workload: &mut Workload<Heap>, by: &Svid, then: Now| {
        let seal = by.seal_at(then.wall);
        let protection = Protection { seal: Some(&seal), ..Protection::default() };
        let written = workload.poll_token(&protection, &mut room).expect("a token").expect("room");
        lines.push(room[..written.len].to_vec());
    };
    write(&mut workload, &dispatch, now(0));
    for (n, (name, by)) in (1..).zip([("plan", &mill), ("fly", &drone), ("land", &rotated)]) {
        let step = NewStep { name, executor: Some(by.id_text()), ..NewStep::default() };
        let sequence = workload.add(&step, &mut rng).expect("added");
        workload.start(now(n), sequence, Data::None, None).expect("started");
        workload.bind_spiffe(sequence, &by.binding()).expect("bound");
        let output = Data::Value(Value::from_json(r#"{"ok": true}"#).expect("JSON"));
        workload.complete(now(n), sequence, output, None).expect("completed");
        write(&mut workload, by, now(n));
    }
    workload.close(now(9)).expect("closed");
    write(&mut workload, &dispatch, now(9));

    let findings = |lines: &[Vec<u8>], authority: &SpiffeAuthority| {
        let mut verifier = StepVerifier::new(None, Some(authority), &Seed::from_u64(2));
        lines.iter().filter_map(|line| verifier.line(line).map(|found| format!("{found:?}"))).collect::<Vec<_>>()
    };
    let authority = SpiffeAuthority::new(forge.bundles());
    assert_eq!(findings(&lines, &authority), [""; 0]);
    let stranger = SpiffeAuthority::new(Forge::new("mill.example").bundles());
    assert_eq!(findings(&lines, &stranger).len(), lines.len(), "nobody is known");
    for n in 0..lines.len() {
        let mut changed = lines.clone();
        let text = String::from_utf8(changed[n].clone()).expect("ASCII");
        changed[n] = text.replacen("\"erachter\": \"", "\"erachter\": \"not to ", 1).into_bytes();
        assert_eq!(findings(&changed, &authority).len(), 1, "one edit is one finding");
    }
}

/// What a stranger does to the certificates of a seal never makes it good, and never does worse than being refused.
#[test]
fn mangled_certificates_are_refused() {
    use base64ct::{Base64, Encoding as _};
    let forge = Forge::new("fleet.example");
    let authority = SpiffeAuthority::new(forge.bundles());
    let svid = forge.svid(DRONE);
    let line = Draft::by(&svid).sealed(&svid);
    let token = Token::parse(&line).expect("a token");
    let hash = token.said_hash().expect("a hash");
    let seal = token.signature.to_cow().into_owned();
    let parts: Vec<_> = seal.split(':').skip(1).map(|part| Base64::decode_vec(part).expect("Base64")).collect();
    let mut rng = Seed::from_u64(7).fork("mangle");
    let mut below = |n: usize| usize::try_from(rng.u64() % n as u64).expect("small");
    for round in 0..5_000 {
        let mut mangled = parts.clone();
        let which = if round % 8 == 0 { 0 } else { 1 + below(2) };
        for _ in 0..=below(4) {
            let bytes = &mut mangled[which];
            if bytes.is_empty() {
                break;
            }
            let (at, to) = (below(bytes.len()), u8::try_from(below(256)).expect("a byte"));
            match below(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, to),
                2 => bytes.truncate(at.max(1)),
                _ => bytes[at] = to,
            }
        }
        if mangled == parts {
            continue;
        }
        let text: Vec<_> = mangled.iter().map(|part| Base64::encode_string(part)).collect();
        let text = format!("x509:{}", text.join(":"));
        let changed = Token { signature: Text::new(&text), ..token };
        assert!(authority.judge(&changed, &signed_text(&hash)).is_err(), "{text}");
    }
}
