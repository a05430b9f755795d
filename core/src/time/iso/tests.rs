use std::string::{String, ToString};

use proptest::prelude::*;

use super::{FIRST, LAST, format, parse};
use crate::time::Wall;

fn written(micros: i64) -> String {
    format(Wall::from_micros(micros), &mut [0; 32]).to_string()
}

#[test]
fn writes_what_python_writes() {
    for (micros, text) in [
        (0, "1970-01-01T00:00:00+00:00"),
        (-1, "1969-12-31T23:59:59.999999+00:00"),
        (1_736_942_400_000_123, "2025-01-15T12:00:00.000123+00:00"),
        (1_709_164_800_000_000, "2024-02-29T00:00:00+00:00"),
        (951_782_400_000_000, "2000-02-29T00:00:00+00:00"),
        (4_107_542_400_000_000, "2100-03-01T00:00:00+00:00"),
        (FIRST, "0001-01-01T00:00:00+00:00"),
        (LAST, "9999-12-31T23:59:59.999999+00:00"),
        (i64::MIN, "0001-01-01T00:00:00+00:00"),
        (i64::MAX, "9999-12-31T23:59:59.999999+00:00"),
    ] {
        assert_eq!(written(micros), text);
    }
}

#[test]
fn every_day_is_read_back() {
    let day = 86_400_000_000;
    for days in FIRST / day..=LAST / day {
        let micros = (days * day).max(FIRST);
        assert_eq!(parse(&written(micros)), Some(Wall::from_micros(micros)), "{}", written(micros));
    }
}

#[test]
fn long_texts_are_refused_unread() {
    let text = std::format!("2025-01-15T12:00:00.{:0<200}", 5);
    assert_eq!(parse(&text), None);
    assert_eq!(parse(&text[..120]), Some(Wall::from_micros(1_736_942_400_500_000)));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(micros in FIRST..=LAST) {
        prop_assert_eq!(parse(&written(micros)), Some(Wall::from_micros(micros)));
    }

    #[test]
    fn the_short_cut_agrees_with_the_long_way(micros in FIRST..=LAST, cut in 0usize..32, byte in 0u8..128) {
        let mut text = written(micros).into_bytes();
        let at = cut % text.len();
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        if let Some(short) = super::usual(text.as_bytes()) {
            prop_assert_eq!(super::anything(&text), Some(short));
        }
    }

    #[test]
    fn any_text_is_survived(text in ".{0,40}", near in "[0-9]{4}-?(W?)[0-9]{2}-?[0-9]{0,2}[T Z-][0-9:.,+Z -]{0,30}") {
        let _ = (parse(&text), parse(&near));
    }
}
