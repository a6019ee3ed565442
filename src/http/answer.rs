//! Answers of a server, as its clients read them (RFC 9112, 4 and 6.3): for the health check and
//! the doctor, which may have any server at the other end.

use super::chunked::ChunkedDecoder;
use super::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX};

/// Interim answers (1xx) in front of the one that counts.
const INTERIM_ANSWERS_MAX: usize = 8;

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerAnswer {
    /// The status code, three digits.
    pub status: u16,
    /// The content, without the framing of chunks.
    pub body: Vec<u8>,
    /// Names in lower case; values that are not UTF-8 are left out.
    fields: Vec<(String, String)>,
}

/// Why an answer cannot be read; the server that gave it is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not HTTP/1.0 or HTTP/1.1, or malformed.
    #[error("the answer is no HTTP")]
    Malformed,
    /// The head or the body is longer than what is read here.
    #[error("the answer is too long")]
    TooLong,
    /// The connection ended within the answer, or before it.
    #[error("the connection was closed without a whole answer")]
    Cut,
}

/// How the end of a body is known.
enum Length {
    Bytes(usize),
    Chunked,
    UntilTheEnd,
}

impl ServerAnswer {
    /// The value of the first field called `name`, which is in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The answer to a `GET` that `bytes` begin with, and how many of them it takes; what follows a
/// 101 is no HTTP any more. `None`: more has to come. `has_ended`: nothing more will.
///
/// # Errors
/// [`AnswerError`]. At most 16 KiB of head and 64 KiB of body are read.
pub fn parse_answer(
    bytes: &[u8],
    has_ended: bool,
) -> Result<Option<(ServerAnswer, usize)>, AnswerError> {
    let mut begin = 0;
    for _ in 0..=INTERIM_ANSWERS_MAX {
        let Some((mut answer, head_bytes)) = parse_head(&bytes[begin..])? else {
            return if has_ended { Err(AnswerError::Cut) } else { Ok(None) };
        };
        begin += head_bytes;
        if matches!(answer.status, 100 | 102..=199) {
            continue;
        }
        let Some((body, body_bytes)) = parse_body(&answer, &bytes[begin..], has_ended)? else {
            return if has_ended { Err(AnswerError::Cut) } else { Ok(None) };
        };
        answer.body = body;
        return Ok(Some((answer, begin + body_bytes)));
    }
    Err(AnswerError::Malformed)
}

/// An answer without its body, and how many bytes that takes.
fn parse_head(bytes: &[u8]) -> Result<Option<(ServerAnswer, usize)>, AnswerError> {
    let mut storage = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut storage);
    let head_bytes = match head.parse(bytes) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(AnswerError::TooLong);
        }
        Err(_) => return Err(AnswerError::Malformed),
    };
    let text = |value| str::from_utf8(value).ok().map(|text: &str| text.trim().to_owned());
    let fields = head.headers.iter().filter_map(|field| {
        let value = text(field.value)?;
        Some((field.name.to_ascii_lowercase(), value))
    });
    let fields = fields.collect();
    let status = head.code.ok_or(AnswerError::Malformed)?;
    Ok(Some((ServerAnswer { status, body: Vec::new(), fields }, head_bytes)))
}

/// The body of `answer` that `bytes` begin with, and how many bytes it takes.
fn parse_body(
    answer: &ServerAnswer,
    bytes: &[u8],
    has_ended: bool,
) -> Result<Option<(Vec<u8>, usize)>, AnswerError> {
    match length(answer)? {
        Length::Bytes(count) if count > BODY_BYTES_MAX => Err(AnswerError::TooLong),
        Length::Bytes(count) => Ok(bytes.get(..count).map(|body| (body.to_vec(), count))),
        Length::UntilTheEnd if bytes.len() > BODY_BYTES_MAX => Err(AnswerError::TooLong),
        Length::UntilTheEnd => Ok(has_ended.then(|| (bytes.to_vec(), bytes.len()))),
        Length::Chunked => {
            let (mut rest, mut body) = (bytes, Vec::new());
            let whole =
                ChunkedDecoder::default().feed(&mut rest, &mut body).map_err(
                    |error| match error.status.code() {
                        413 | 431 => AnswerError::TooLong,
                        _ => AnswerError::Malformed,
                    },
                )?;
            Ok(whole.then(|| (body, bytes.len() - rest.len())))
        }
    }
}

/// RFC 9112, 6.3.
fn length(answer: &ServerAnswer) -> Result<Length, AnswerError> {
    if matches!(answer.status, 101 | 204 | 304) {
        return Ok(Length::Bytes(0));
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match (answer.field("transfer-encoding"), answer.field("content-length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunked),
        (None, Some(digits)) if is_number(digits) => {
            digits.parse().map(Length::Bytes).map_err(|_| AnswerError::TooLong)
        }
        (Some(_), _) | (None, Some(_)) => Err(AnswerError::Malformed),
        (None, None) => Ok(Length::UntilTheEnd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "HTTP/1.1 200 OK\r\n";

    fn parsed(text: &str, has_ended: bool) -> Result<Option<(u16, String, usize)>, AnswerError> {
        let found = parse_answer(text.as_bytes(), has_ended)?;
        Ok(found.map(|(answer, used)| {
            (answer.status, String::from_utf8(answer.body).expect("text"), used)
        }))
    }

    #[test]
    fn answers_end_where_their_framing_says() {
        for (rest, body, left) in [
            ("Content-Length: 2\r\n\r\nokHTTP", "ok", 4),
            ("content-length:2\r\n\r\nok", "ok", 0),
            ("Content-Length: 0\r\n\r\n", "", 0),
            ("Transfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n1;a=b\r\n!\r\n0\r\n\r\nx", "ok!", 1),
        ] {
            let text = format!("{OK}{rest}");
            let expected = Some((200, body.to_owned(), text.len() - left));
            assert_eq!(parsed(&text, false), Ok(expected), "{rest}");
            for end in 0..text.len() - left {
                assert_eq!(parsed(&text[..end], false), Ok(None), "{:?}", &text[..end]);
                assert_eq!(parsed(&text[..end], true), Err(AnswerError::Cut));
            }
        }
    }

    #[test]
    fn an_answer_without_a_length_ends_with_the_connection() {
        let text = "HTTP/1.0 404 Not Found\r\n\r\ngone";
        assert_eq!(parsed(text, false), Ok(None));
        assert_eq!(parsed(text, true), Ok(Some((404, "gone".to_owned(), text.len()))));
    }

    #[test]
    fn some_answers_have_no_body_and_some_come_before_the_one_that_counts() {
        let upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        let with_frame = format!("{upgrade}\u{1}\u{2}");
        assert_eq!(parsed(&with_frame, false), Ok(Some((101, String::new(), upgrade.len()))));
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(INTERIM_ANSWERS_MAX);
        let text = format!("{interim}HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(parsed(&text, false), Ok(Some((204, String::new(), text.len()))));
        let text = format!("HTTP/1.1 100 Continue\r\n\r\n{text}");
        assert_eq!(parsed(&text, false), Err(AnswerError::Malformed));
    }

    #[test]
    fn what_is_no_answer_or_too_long_is_refused() {
        let field = |count: usize| format!("{OK}{}\r\n", "A: b\r\n".repeat(count));
        let endless = "2710\r\n".to_owned() + &"x".repeat(10_000) + "\r\n";
        for (text, expected) in [
            ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), AnswerError::Malformed),
            ("\u{15}\u{3}\u{1}".to_owned(), AnswerError::Malformed),
            (format!("{OK}Content-Length: two\r\n\r\n"), AnswerError::Malformed),
            (format!("{OK}Content-Length: -1\r\n\r\n"), AnswerError::Malformed),
            (format!("{OK}Transfer-Encoding: gzip\r\n\r\n"), AnswerError::Malformed),
            (format!("{OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\n"), AnswerError::Malformed),
            (format!("{OK}Content-Length: 65537\r\n\r\n"), AnswerError::TooLong),
            (format!("{OK}Content-Length: {}9\r\n\r\n", u64::MAX), AnswerError::TooLong),
            (format!("{OK}\r\n{}", "x".repeat(BODY_BYTES_MAX + 1)), AnswerError::TooLong),
            (format!("{OK}A: {}", "x".repeat(HEAD_BYTES_MAX)), AnswerError::TooLong),
            (field(HEADERS_MAX + 1), AnswerError::TooLong),
            (
                format!("{OK}Transfer-Encoding: chunked\r\n\r\n{}", endless.repeat(7)),
                AnswerError::TooLong,
            ),
        ] {
            let shown: String = text.chars().take(80).collect();
            assert_eq!(parsed(&text, false), Err(expected), "{shown}");
        }
        assert_eq!(parsed(&field(HEADERS_MAX), false), Ok(None));
    }

    #[test]
    fn fields_are_found_by_their_name_in_lower_case() {
        let text =
            format!("{OK}Server:  nginx \r\nDate: a\r\ndate: b\r\nContent-Length: 0\r\n\r\n");
        let (answer, _) = parse_answer(text.as_bytes(), false).expect("HTTP").expect("whole");
        assert_eq!(answer.field("server"), Some("nginx"));
        assert_eq!(answer.field("date"), Some("a"));
        assert_eq!(answer.field("via"), None);
    }
}
