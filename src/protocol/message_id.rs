//! What a client calls one of its messages.

use std::borrow::Cow;

/// Bytes of an `id` as it stands in the message, quotes and escapes included.
pub const ID_BYTES_MAX: usize = 128;

/// The `id` of a message: the JSON text of a string or an integer, at most [`ID_BYTES_MAX`] bytes.
/// It is given back as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageId<'a>(Cow<'a, str>);

impl<'a> MessageId<'a> {
    /// `json` is checked.
    pub(super) const fn new(json: &'a str) -> Self {
        Self(Cow::Borrowed(json))
    }

    /// The JSON text of the id.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The id, independent of the message's text.
    pub fn to_owned(&self) -> MessageId<'static> {
        MessageId(Cow::Owned(self.0.clone().into_owned()))
    }
}
