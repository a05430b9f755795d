//! Identities in files, and what is said of files that are not right.

use std::path::{Path, PathBuf};

use crate::common::{DRONE, Forge, HOUR, NOON, at, p256, pem, svid_params};
use sluis_spiffe::{Identities, SpiffeError, Svid, SvidFiles, ThrowawayCa, TrustBundles};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("spiffe-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permitted");
    }
}

#[test]
fn as_spire_agent_writes_them() {
    let folder = folder("agent");
    let files = SvidFiles::in_folder(&folder);
    let hour = core::time::Duration::from_secs(HOUR.unsigned_abs());
    let ca = ThrowawayCa::new("fleet.example", at(NOON), hour).expect("an authority");
    let issued = ca.issue("drone/7", at(NOON), at(NOON + 60)).expect("an SVID");
    write(&files.svid, &issued.chain_pem(), 0o644);
    write(&files.key, &issued.key_pem(), 0o600);
    let bundle = folder.join("bundle.0.pem");
    write(&bundle, &ca.bundle_pem(), 0o644);

    let svid = Svid::from_files(&files).expect("an SVID");
    assert_eq!(svid.id().to_string(), DRONE);
    for argument in [bundle.display().to_string(), format!("fleet.example={}", bundle.display())] {
        let mut bundles = TrustBundles::new();
        bundles.add_argument(&argument).expect("a bundle");
        svid.check(&bundles, at(NOON + 30)).expect("valid");
        svid.check(&bundles, at(NOON + 61)).expect_err("expired");
        let all = Identities::from_files(&files, &[&argument], at(NOON)).expect("identities");
        assert_eq!(all.default_svid().expect("one").id_text(), DRONE);
        assert!(all.find(DRONE).is_ok() && all.find("spiffe://fleet.example/other").is_err());
        let late = Identities::from_files(&files, &[&argument], at(NOON + 61)).expect_err("expired").to_string();
        assert!(late.ends_with("a certificate of its chain had expired"), "{late}");
    }
    let nobody: [&str; 0] = [];
    let alone = Identities::from_files(&files, &nobody, at(NOON)).expect_err("no bundles").to_string();
    assert_eq!(alone, format!("there is no trust bundle for \"fleet.example\", the trust domain of {DRONE}"));
}

#[test]
fn openssl_reads_what_is_written() {
    let folder = folder("openssl");
    let hour = core::time::Duration::from_secs(HOUR.unsigned_abs());
    let ca = ThrowawayCa::new("fleet.example", at(NOON), hour).expect("an authority");
    let issued = ca.issue("drone/7", at(NOON), at(NOON + 60)).expect("an SVID");
    let files = SvidFiles::in_folder(&folder);
    write(&files.svid, &issued.chain_pem(), 0o644);
    write(&files.key, &issued.key_pem(), 0o600);
    let run = |args: &[&str]| std::process::Command::new("openssl").args(args).output();
    let (svid, key) = (files.svid.display().to_string(), files.key.display().to_string());
    let Ok(text) = run(&["x509", "-in", &svid, "-noout", "-ext", "subjectAltName"]) else {
        assert!(std::env::var_os("CI").is_none(), "openssl is needed here");
        return;
    };
    assert!(String::from_utf8_lossy(&text.stdout).contains(&format!("URI:{DRONE}")), "{text:?}");
    let of_leaf = run(&["x509", "-in", &svid, "-noout", "-pubkey"]).expect("openssl");
    let of_key = run(&["pkey", "-in", &key, "-pubout"]).expect("openssl");
    assert!(of_leaf.status.success() && of_leaf.stdout == of_key.stdout, "{of_leaf:?} {of_key:?}");
}

#[test]
fn each_mistake_is_one_sentence_with_the_file() {
    let folder = folder("mistakes");
    let files = SvidFiles::in_folder(&folder);
    let forge = Forge::new("fleet.example");
    let key = p256();
    let chain: String = forge.chain(&svid_params(DRONE), &key).iter().map(|der| pem("CERTIFICATE", der)).collect();
    let secret = pem("PRIVATE KEY", &key.serialize_der());
    let said = || Svid::from_files(&files).expect_err("a mistake").to_string();
    let (svid, key) = (files.svid.display().to_string(), files.key.display().to_string());

    assert!(said().starts_with(&format!("cannot read {svid}: ")), "{}", said());
    write(&files.svid, &chain, 0o644);
    assert!(said().starts_with(&format!("cannot read {key}: ")), "{}", said());
    write(&files.key, &secret, 0o640);
    #[cfg(unix)]
    assert_eq!(said(), format!("others may read the private key {key}; mend it with: chmod 600 {key}"));
    write(&files.key, &chain, 0o600);
    assert_eq!(said(), format!("{key}: has no private key in PEM form (no such section)"));
    write(&files.key, &secret.replace("MI", "**"), 0o600);
    assert_eq!(said(), format!("{key}: has no private key in PEM form (it is damaged)"));
    write(&files.key, &secret.replace("PRIVATE KEY", "EC PRIVATE KEY"), 0o600);
    assert_eq!(
        said(),
        format!(
            "{key}: the private key cannot be used: it is not in PKCS#8 form; mend it with: openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW-KEY"
        )
    );
    write(&files.key, &pem("PRIVATE KEY", &p256().serialize_der()), 0o600);
    assert_eq!(said(), format!("{key}: the private key does not belong to the certificate of {DRONE}"));
    write(&files.svid, &secret, 0o644);
    assert_eq!(said(), format!("{svid}: has no certificate in PEM form (no such section)"));
    write(&files.svid, &pem("CERTIFICATE", b"\x30\x03\x02\x01\x01"), 0o644);
    assert!(
        said().starts_with(&format!("{svid}: certificate 0 is not a certificate that can be read: ")),
        "{}",
        said()
    );

    let mut bundles = TrustBundles::new();
    assert!(matches!(bundles.add_argument("/no/such/file"), Err(SpiffeError::Read { .. })));
    assert!(matches!(bundles.add_argument("fleet.example=/no/such/file"), Err(SpiffeError::Read { .. })));
    assert!(matches!(bundles.add_argument(&format!("no name={svid}")), Err(SpiffeError::In { .. })));
}
