//! Vectors of Go's `sumdb/note` and of the C2SP documents, and what must be refused.

use std::string::{String, ToString};
use std::vec::Vec;

use base64ct::{Base64, Encoding as _};
use proptest::prelude::*;

use super::*;
use crate::log::merkle::leaf_hash;
use sluis_core::Seed;
use sluis_core::identity::SecretKey;
use sluis_core::identity::note::NoteKey;

const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SECRET: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER_LINE: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH_LINE: &str =
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn key(line: &str) -> NoteKey<'_> {
    NoteKey::parse(line).unwrap()
}

fn open(note: &str, keys: &[NoteKey<'_>]) -> Result<usize, NoteError> {
    Note::parse(note.as_bytes())?.verify(keys)
}

#[test]
fn the_known_note_is_signed_and_read() {
    let mut secret = [0; 33];
    Base64::decode(PETER_SECRET, &mut secret).unwrap();
    let signer = SecretKey::from_seed(secret[1..].try_into().unwrap());
    assert_eq!(NoteKey::new("PeterNeumann", signer.public()).unwrap().to_string(), PETER);

    let mut out = Vec::new();
    sign(TEXT, "PeterNeumann", &signer, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out, [TEXT, "\n", PETER_LINE].concat());

    let note = Note::parse(out.as_bytes()).unwrap();
    assert_eq!(note.text(), TEXT);
    assert_eq!(note.verify(&[key(PETER)]), Ok(1));
    let signature = note.signatures().next().unwrap();
    assert_eq!((signature.name, signature.id), ("PeterNeumann", [0xc7, 0x4f, 0x20, 0xa3]));

    let both = [TEXT, "\n", PETER_LINE, ENOCH_LINE].concat();
    for (keys, signed) in [
        (&[key(PETER)][..], Ok(1)),
        (&[key(ENOCH)], Ok(1)),
        (&[key(PETER), key(ENOCH)], Ok(2)),
        (&[key(PETER), key(PETER)], Ok(1)),
        (&[], Err(NoteError::UnknownKey)),
    ] {
        assert_eq!(open(&both, keys), signed);
    }
    assert_eq!(open(&[TEXT, "\n", PETER_LINE].concat(), &[key(ENOCH)]), Err(NoteError::UnknownKey));
    // A second signature of the same key does not count again.
    assert_eq!(open(&[TEXT, "\n", PETER_LINE, PETER_LINE].concat(), &[key(PETER)]), Ok(1));
}

#[test]
fn the_notes_of_the_documents_are_read() {
    let note = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
        — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let parsed = Note::parse(note.as_bytes()).unwrap();
    assert!(parsed.text().ends_with("\n\ned è subito sera.\n"));
    assert_eq!(parsed.signatures().next().unwrap().id, [0x36, 0x7b, 0xa0, 0x4b]);

    let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    let parsed = Note::parse(note.as_bytes()).unwrap();
    let checkpoint = Checkpoint::parse(parsed.text()).unwrap();
    assert_eq!((checkpoint.origin, checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.root[..4], [0x0a, 0xc5, 0x18, 0x6a]);
    // Its key is not known.
    assert_eq!(
        Checkpoint::open(note.as_bytes(), "example.com/behind-the-sofa", &[key(PETER)]),
        Err(CheckpointError::Note(NoteError::UnknownKey))
    );
}

#[test]
fn what_is_no_note_is_refused() {
    let keys = [key(PETER)];
    let cut = &PETER_LINE[..PETER_LINE.len() - 1];
    for (note, why) in [
        (TEXT.to_string(), NoteError::Form),
        ([TEXT, "\n"].concat(), NoteError::Form),
        ([TEXT, "\n", cut].concat(), NoteError::Form),
        (["\x01", TEXT, "\n", PETER_LINE].concat(), NoteError::Text),
        ([TEXT, "\r\n\n", PETER_LINE].concat(), NoteError::Text),
        ([TEXT, "\n", &PETER_LINE.replace("PeterNeumann", "Bad Name")].concat(), NoteError::Form),
        ([TEXT, "\n", &PETER_LINE.replace("PeterNeumann", "Bad+Name")].concat(), NoteError::Form),
        ([TEXT, "\n", &PETER_LINE.replace("PeterNeumann", "")].concat(), NoteError::Form),
        ([TEXT, "\n", PETER_LINE, "Unexpected line.\n"].concat(), NoteError::Form),
        ([TEXT, "\n", &PETER_LINE.replace("nAM=", "nAM")].concat(), NoteError::Form),
        ([TEXT, "\n", &PETER_LINE.replace("nAM=", "nAN=")].concat(), NoteError::Form),
        ([TEXT, "\n", "— PeterNeumann x08gow==\n"].concat(), NoteError::Form),
        ([TEXT, "\n", &PETER_LINE.repeat(101)].concat(), NoteError::TooLong),
        ([&"x".repeat(MAX_NOTE), "\n\n", PETER_LINE].concat(), NoteError::TooLong),
        ([TEXT, "x\n\n", PETER_LINE].concat(), NoteError::BadSignature),
        // Of a known key, but of another length.
        ([TEXT, "\n", &PETER_LINE.replace("nAM=", "nAMAAAA=")].concat(), NoteError::BadSignature),
        // Another name, or another id: not that key.
        ([TEXT, "\n", &PETER_LINE.replace("PeterNeumann", "CarmenSandiego")].concat(), NoteError::UnknownKey),
        ([TEXT, "\n", &PETER_LINE.replace("x08g", "xxxx")].concat(), NoteError::UnknownKey),
    ] {
        assert_eq!(open(&note, &keys), Err(why), "{:?}", &note[..note.len().min(300)]);
    }
    assert_eq!(Note::parse(&[TEXT.as_bytes(), b"\xff\n\n", PETER_LINE.as_bytes()].concat()), Err(NoteError::Text));
    assert_eq!(open(&[TEXT, "\n", &PETER_LINE.repeat(100)].concat(), &keys), Ok(1));
    // A signature of a kind that we do not know does no harm, however long.
    let long = std::format!("— EnochRoot {}\n", "AAAA".repeat(2000));
    assert_eq!(open(&[TEXT, "\n", &long, PETER_LINE].concat(), &keys), Ok(1));
}

fn log() -> (SecretKey, Vec<u8>) {
    let signer = SecretKey::generate(&mut Seed::from_u64(3).fork("key"));
    let mut out = Vec::new();
    Checkpoint::new("example.com/log", 42, leaf_hash(b"x")).unwrap().sign(&signer, &mut out).unwrap();
    (signer, out)
}

#[test]
fn checkpoints_are_strict() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    for good in ["o\n0\nR\n", "o o\n18446744073709551615\nR\n", "o\n1\nR\nmore\nlines\n"] {
        let text = good.replace('R', root);
        assert!(Checkpoint::parse(&text).is_ok(), "{good}");
    }
    for bad in [
        "",
        "o\n1\n",
        "o\n1\nR",
        "\n1\nR\n",
        "o\n01\nR\n",
        "o\n\nR\n",
        "o\n-1\nR\n",
        "o\n+1\nR\n",
        "o\n1 \nR\n",
        "o\n18446744073709551616\nR\n",
        "o\n1\nRR\n",
        "o\n1\nAAAA\n",
        "o\n1\n R\n",
        "o\n1\nR\n\n",
        "o\n1\nR\nmore",
        "o\n1\nR\nmore\n\nlines\n",
        "o\n1\n\n",
    ] {
        let text = bad.replace('R', root);
        assert_eq!(Checkpoint::parse(&text), Err(CheckpointError::Form), "{bad:?}");
    }
    for origin in ["", "a b", "a+b", "a\nb", &"x".repeat(MAX_ORIGIN + 1)] {
        assert_eq!(Checkpoint::new(origin, 0, [0; 32]), Err(NoteSignError::Name));
    }
}

#[test]
fn a_checkpoint_is_of_its_log_and_by_its_key() {
    let (signer, note) = log();
    let key = NoteKey::new("example.com/log", signer.public()).unwrap();
    let checkpoint = Checkpoint::open(&note, "example.com/log", &[key]).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root, checkpoint.extensions), (42, leaf_hash(b"x"), ""));
    assert_eq!(Checkpoint::open(&note, "example.com/lag", &[key]), Err(CheckpointError::Origin));
    let mut longest = Vec::new();
    let origin = "x".repeat(MAX_ORIGIN);
    Checkpoint::new(&origin, u64::MAX, [0; 32]).unwrap().sign(&signer, &mut longest).unwrap();
    assert!(longest.len() <= MAX_CHECKPOINT, "{}", longest.len());
}

#[test]
fn the_last_of_several_checkpoints_is_found() {
    let (signer, one) = log();
    let mut two = Vec::new();
    Checkpoint::new("example.com/log", 43, leaf_hash(b"y")).unwrap().sign(&signer, &mut two).unwrap();
    two.extend(ENOCH_LINE.as_bytes());
    let both = [&one[..], &two].concat();
    assert_eq!(last_note(&both), two);
    assert_eq!(last_note(&one), one);
    assert_eq!(last_note(b""), b"");
}

proptest! {
    #[test]
    fn any_changed_byte_of_a_checkpoint_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let (signer, mut note) = log();
        let key = NoteKey::new("example.com/log", signer.public()).unwrap();
        let at = at.index(note.len());
        note[at] ^= 1 << bit;
        prop_assert!(Checkpoint::open(&note, "example.com/log", &[key]).is_err());
    }

    #[test]
    fn anything_is_parsed_or_refused(note in ".{0,200}", tail in "(— [a-z]{1,5} [A-Za-z0-9+/]{4,12}=?=?\n){0,3}") {
        let whole = std::format!("{note}\n\n{tail}");
        if let Ok(note) = Note::parse(whole.as_bytes()) {
            prop_assert_eq!([note.text(), "\n", &tail].concat(), whole.clone());
            prop_assert!(note.signatures().count() > 0);
            prop_assert_eq!(note.verify(&[]), Err(NoteError::UnknownKey));
        }
    }
}
