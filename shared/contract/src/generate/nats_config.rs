//! The `authorization` block of a nats-server configuration.
//!
//! Invariant: what a user chose stands inside a quoted string with everything special escaped, so
//! that no name or password can end the string or add a permission.

use std::collections::BTreeSet;
use std::fmt::Write;

use troupe_domain::Name;

use super::permissions::{Kind, Permissions, permissions_of};

/// One line of the password file that the block stands for.
#[derive(Clone)]
pub struct User {
    /// The user name, which is the name on the wire.
    pub name: Name,
    /// Plain, or a bcrypt hash (the server takes what starts with `$2` for one).
    pub password: String,
    /// What the credentials are for.
    pub kind: Kind,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({}, {:?})", self.name, self.kind)
    }
}

/// Why no block was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUser {
    /// An empty password would let everybody in.
    #[error("{0} has no password")]
    NoPassword(Name),
    /// The server would take one of the two.
    #[error("{0} is there twice")]
    Twice(Name),
}

/// Renders the block for `users`.
///
/// # Errors
/// If a password is empty or a name is there twice.
pub fn nats_config(users: &[User]) -> Result<String, BadUser> {
    let mut seen = BTreeSet::new();
    let mut text = "authorization {\n  users = [\n".to_owned();
    for user in users {
        if user.password.is_empty() {
            return Err(BadUser::NoPassword(user.name.clone()));
        }
        if !seen.insert(&user.name) {
            return Err(BadUser::Twice(user.name.clone()));
        }
        let Permissions { publish, subscribe } = permissions_of(user.kind, &user.name);
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "    {{\n      user: {}\n      password: {}\n      permissions: {{\n        \
             publish: {}\n        subscribe: {}\n      }}\n    }}\n",
            quoted(user.name.as_str()),
            quoted(&user.password),
            allowed(&publish),
            allowed(&subscribe),
        );
    }
    text.push_str("  ]\n}\n");
    Ok(text)
}

/// The server takes an empty list of allowed subjects for no restriction at all.
fn allowed(subjects: &[String]) -> String {
    if subjects.is_empty() {
        return "{ deny: [\">\"] }".to_owned();
    }
    let quoted: Vec<_> = subjects.iter().map(|subject| quoted(subject)).collect();
    format!("{{ allow: [{}] }}", quoted.join(", "))
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, password: &str) -> User {
        User {
            name: Name::parse(name).unwrap(),
            password: password.to_owned(),
            kind: Kind::Observer,
        }
    }

    #[test]
    fn a_password_cannot_end_its_string() {
        let text = nats_config(&[user("eve", "\" } user: \"root\\\n\u{1}")]).unwrap();
        let expected = r#"password: "\" } user: \"root\\\n\x01""#;
        assert!(text.lines().any(|line| line.trim() == expected), "{text}");
    }

    #[test]
    fn nobody_gets_everything_for_an_empty_list() {
        let text = nats_config(&[user("eve", "x")]).unwrap();
        assert!(text.contains("publish: { deny: [\">\"] }"), "{text}");
    }

    #[test]
    fn bad_users_are_refused_and_named() {
        let name = Name::parse("eve").unwrap();
        assert_eq!(nats_config(&[user("eve", "")]), Err(BadUser::NoPassword(name.clone())));
        let twice = [user("eve", "x"), user("eve", "y")];
        assert_eq!(nats_config(&twice), Err(BadUser::Twice(name)));
    }

    #[test]
    fn passwords_are_not_printed() {
        assert!(!format!("{:?}", user("eve", "hunter2")).contains("hunter2"));
    }
}
