//! Reading, hashing, verifying and writing a token costs no heap allocation.

use sluis_benches::alloc::calls_in;
use sluis_benches::tokens::{Kind, line};
use sluis_chain::token::Token;
use sluis_core::identity::{MacKey, SecretKey};

#[test]
fn tokens_need_no_heap() {
    let key = MacKey::new(b"your_secret_key");
    let signer = SecretKey::from_seed(&[1; 32]);
    let mut out = vec![0; 4096];
    for (kind, name) in Kind::ALL {
        for key in [None, Some(&key)] {
            let line = line(kind, 1, key);
            let calls = calls_in(|| {
                let token = Token::parse(&line).expect("a token");
                assert_eq!(token.verify(key), Ok(()));
                assert_eq!(token.write_to(&mut out), Ok(line.len()));
            });
            assert_eq!((calls, &out[..line.len()]), (0, line.as_bytes()), "{name}");
        }
    }
    let seal = calls_in(|| {
        let mut seal = [0; 201];
        let text = sluis_chain::token::signed_text(&sluis_chain::token::Hash32([0; 32]));
        assert_eq!(sluis_chain::token::Seal::seal(&signer, &text, &mut seal), Ok(201));
    });
    assert_eq!(seal, 0);
}
