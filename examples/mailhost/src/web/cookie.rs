//! Cookies, as texts.

/// What a cookie is called at a host, as a request names it. RFC 6265 §8.6: cookies do not tell ports apart, so the name does.
/// Without TLS, which is for this machine and for who has allowed it, a browser would not keep one that is `Secure`.
pub(in crate::web) fn name(base: &str, host: &str, secure: bool) -> String {
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let prefix = if secure { "__Host-" } else { "" };
    match port {
        Some(port) => format!("{prefix}{base}-{port}"),
        None => format!("{prefix}{base}"),
    }
}

/// What a browser is told to keep, for so many seconds.
pub(in crate::web) fn kept(name: &str, value: &str, age: i64, same_site: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite={same_site}{secure}")
}

/// The value of a cookie, among all that a browser sends.
pub(in crate::web) fn find<'h>(fields: impl IntoIterator<Item = &'h str>, name: &str) -> Option<&'h str> {
    fields
        .into_iter()
        .flat_map(|value| value.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_known_by_its_whole_name() {
        let fields = ["offset2=1; xoffset=2;offse=3", "a=offset=4; offset=5=6 ; offset=7", "b=\"8\"; c"];
        for (name, value) in [
            ("offset", Some("5=6")),
            ("a", Some("offset=4")),
            ("b", Some("\"8\"")),
            ("c", None),
            ("off", None),
        ] {
            assert_eq!(find(fields, name), value, "{name}");
        }
        assert_eq!(find([], "offset"), None);
    }
}
