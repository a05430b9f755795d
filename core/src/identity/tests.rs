//! Published vectors, forms in which keys are written, and what is never printed.

use std::string::ToString as _;
use std::vec::Vec;
use std::{format, vec};

use super::note::{NoteKey, NoteKeyError};
use super::{KeyError, MacKey, PublicKey, SecretKey, Signer};
use crate::Seed;
use crate::data::{Sink as _, hex};

fn unhex(text: &str) -> Vec<u8> {
    let mut out = vec![0; text.len() / 2];
    hex::parse(text.as_bytes(), &mut out).unwrap();
    out
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).try_into().unwrap()
}

/// RFC 8032 7.1: seed, public key, message, signature.
const RFC_8032: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn rfc_8032_vectors() {
    for [seed, public, message, signature] in RFC_8032 {
        let key = SecretKey::from_seed(&array(seed));
        assert_eq!(key.public().to_string(), public);
        assert_eq!(key.public(), public.parse().unwrap());
        let message = unhex(message);
        let made = key.sign(&message).unwrap();
        assert_eq!(made, array(signature));
        assert_eq!(key.public().verify(&message, &made), Ok(()));
        assert_eq!(key.public().verifier().unwrap().verify(&message, &made), Ok(()));
        assert!(key.public().verify(b"another", &made).is_err());
    }
}

#[test]
fn rfc_4231_vectors() {
    for (key, message, tag) in [
        (vec![0x0b; 20], "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe".to_vec(),
            "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 131],
            "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ] {
        let key = MacKey::new(&key);
        assert_eq!(key.tag(message.as_bytes()), array(tag));
        assert!(key.verify(message.as_bytes(), &array(tag)));
        assert!(!key.verify(b"another", &array(tag)));
        let mut mac = key.begin();
        message.as_bytes().chunks(7).for_each(|piece| mac.put(piece).unwrap());
        assert_eq!(mac.finish(), array(tag));
    }
}

#[test]
fn secrets_are_not_printed() {
    let seed = array(RFC_8032[0][0]);
    let key = SecretKey::from_seed(&seed);
    let shown = format!("{key:?} {:?} {:?}", MacKey::new(&seed), MacKey::new(&seed).begin());
    let public = key.public();
    assert_eq!(shown, format!("SecretKey(<redacted>, public {public}) MacKey(<redacted>) Mac(<redacted>)"));
    assert!(!format!("{key:#?}").contains("9d61"));
}

#[test]
fn keys_come_from_the_generator_and_are_stored_as_seeds() {
    let made = |n| SecretKey::generate(&mut Seed::from_u64(n).fork("key"));
    assert!(made(1) == made(1) && made(1) != made(2));
    assert!(SecretKey::from_seed(&made(1).to_seed()) == made(1));
    assert!(MacKey::new(b"a") == MacKey::new(b"a") && MacKey::new(b"a") != MacKey::new(b"b"));
}

#[test]
fn a_public_key_has_one_spelling() {
    let good = RFC_8032[0][1];
    assert_eq!(good.to_uppercase().parse::<PublicKey>(), Err(KeyError::Hex));
    assert_eq!(good[..62].parse::<PublicKey>(), Err(KeyError::Hex));
    assert_eq!(format!("{good} ").parse::<PublicKey>(), Err(KeyError::Hex));
    // y = 2 is on no point of the curve.
    let mut bytes = [0; 32];
    bytes[0] = 2;
    assert_eq!(PublicKey::from_bytes(bytes), Err(KeyError::NotAPoint));
}

/// What `ssh-keygen -lf` prints for the first key of RFC 8032.
#[test]
fn fingerprints_are_those_of_openssh() {
    let key: PublicKey = RFC_8032[0][1].parse().unwrap();
    let line = key.openssh().to_string();
    assert_eq!(line, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea");
    assert_eq!(PublicKey::from_openssh(&format!("{line} somebody@somewhere\n")), Ok(key));
    for bad in
        ["", "ssh-ed25519", "ssh-rsa AAAA", &line[..70], &line.replace("AAAAC3", "AAAAC4"), &format!("{line}AAAA")]
    {
        assert_eq!(PublicKey::from_openssh(bad), Err(KeyError::OpenSsh), "{bad}");
    }
    let fingerprint = key.fingerprint();
    assert_eq!(fingerprint.to_string(), "SHA256:bbXpuKG6zhzdmnxq256TlqzFBzRl2f6OOg722cYNbU8");
    let groups = format!("{fingerprint:#}");
    assert_eq!((groups.len(), groups.split(' ').count()), (39, 8));
    assert_eq!(unhex(&groups.replace(' ', "")), fingerprint.as_bytes()[..16]);
}

/// The key of Go's checksum database, as its client has it.
#[test]
fn note_keys_are_those_of_signed_notes() {
    let line = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    let key = NoteKey::parse(line).unwrap();
    assert_eq!((key.name(), key.id()), ("sum.golang.org", [0x03, 0x3d, 0xe0, 0xae]));
    assert_eq!(key.to_string(), line);
    assert_eq!(NoteKey::new("sum.golang.org", key.key()), Ok(key));
    for (bad, why) in [
        ("sum.golang.org", NoteKeyError::Form),
        ("sum.golang.org+033de0ae", NoteKeyError::Form),
        ("sum.golang.org+033de0ae+AA==", NoteKeyError::Form),
        ("sum.golang.org+033DE0AE+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", NoteKeyError::Form),
        ("sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", NoteKeyError::Id),
        ("sum.golang.com+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", NoteKeyError::Id),
        ("a b+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", NoteKeyError::Name),
        ("x+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", NoteKeyError::Key(KeyError::Weak)),
    ] {
        assert_eq!(NoteKey::parse(bad), Err(why), "{bad}");
    }
    for bad in ["", "a+b", "a b", "a\u{2003}b", "a\nb", "a\u{1b}b"] {
        assert_eq!(NoteKey::new(bad, key.key()), Err(NoteKeyError::Name), "{bad:?}");
    }
}

/// The examples of RFC 8410 10.
#[cfg(feature = "alloc")]
#[test]
fn pem_is_that_of_rfc_8410() {
    use super::PemError;

    let pem = |label, body: &str| format!("-----BEGIN {label} KEY-----\n{body}\n-----END {label} KEY-----\n");
    let secret = pem("PRIVATE", "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC");
    let public = pem("PUBLIC", "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=");
    let key = SecretKey::from_pem(&secret).unwrap();
    assert_eq!(key.public(), PublicKey::from_pem(&public).unwrap());
    assert_eq!((&**key.to_pem().unwrap(), key.public().to_pem().unwrap()), (&*secret, public.clone()));
    // Version 2 with attributes and the public key; then with the public key of another.
    let v2 = "MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
              oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\nZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    assert!(SecretKey::from_pem(&pem("PRIVATE", v2)).unwrap() == key);
    let other = v2.replace("lshQhqowtrbLDFw4rXAxZuE=", "lshQhqowtrbLDFw4rXAxZuA=");
    assert_eq!(SecretKey::from_pem(&pem("PRIVATE", &other)).unwrap_err(), PemError::Mismatch);
    for bad in ["", "hello", &public, &secret[..60], &secret.replace("VwBC", "VxBC")] {
        assert_eq!(SecretKey::from_pem(bad).unwrap_err(), PemError::Form, "{bad}");
    }
    let weak = pem("PUBLIC", "MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert_eq!(PublicKey::from_pem(&weak), Err(PemError::Key(KeyError::Weak)));
    assert_eq!(PublicKey::from_pem(&secret), Err(PemError::Form));
}
