//! What `sync-server doctor` says of proxies: that a good one is good, and what is wrong with
//! others.

#[cfg(feature = "tls")]
use crate::proxy::Certificate;
use crate::proxy::{Changes, Kind, PORT_ATTEMPTS_MAX, Proxy, Upstream, free_address};
use crate::readme::trusted_proxies;
use crate::support::{Exited, Server, run};

/// As many connections as the machine of any test has files for: that is not the question here.
const FEW_CONNECTIONS: (&str, &str) = ("MAX_CONNECTIONS", "500");

/// A server behind a proxy, of which the doctor is asked.
struct Patient {
    server: Server,
    proxy: Proxy,
    /// How clients reach it; the server has been told.
    url: String,
    settings: Vec<(&'static str, String)>,
}

impl Patient {
    /// A server with `settings` behind a proxy of `kind` with `changes`.
    fn new(kind: Kind, settings: &[(&'static str, &str)], changes: &Changes<'_>) -> Self {
        let scheme = if changes.tls.is_some() { "https" } else { "http" };
        let attempt = |_| {
            let address = free_address();
            let url = format!("{scheme}://localhost:{}", address.port());
            let mut settings = owned(settings);
            settings.extend(owned(&[("PUBLIC_URL", &url), FEW_CONNECTIONS]));
            let server = Server::start(&borrowed(&settings));
            let upstream = Upstream::Tcp(server.address());
            let proxy = Proxy::start_at(address, kind, upstream, changes)?;
            Some(Self { server, proxy, url, settings })
        };
        (0..PORT_ATTEMPTS_MAX).find_map(attempt).expect("a port stays free")
    }

    /// Asks the doctor, who has the settings of the server and `further` ones.
    #[track_caller]
    fn look(&self, arguments: &[&str], further: &[(&'static str, &str)]) -> Exited {
        let mut settings = self.settings.clone();
        settings.extend(owned(further));
        settings.push(("PORT", self.server.address().port().to_string()));
        let data = self.server.directory().path().join("data");
        settings.push(("DATA_DIR", data.display().to_string()));
        let arguments: Vec<&str> = ["doctor"].iter().chain(arguments).copied().collect();
        run(&arguments, &borrowed(&settings))
    }
}

fn owned(settings: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    settings.iter().map(|&(name, value)| (name, value.to_owned())).collect()
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// All is well but for the line that begins with `severity`, then `subject`, and has `part`.
#[track_caller]
fn check_only(looked: &Exited, severity: &str, subject: &str, part: &str) {
    let odd: Vec<&str> = looked.output.lines().filter(|line| !line.starts_with("ok ")).collect();
    let [line, tally] = odd[..] else { panic!("not one finding: {}", looked.output) };
    assert!(line.starts_with(&format!("{severity:8}{subject:10} ")), "{line}");
    assert!(line.contains(part), "{part:?} is not in {line}");
    assert!(tally.starts_with("1 problem, 0") || tally.starts_with("0 problems, 1"), "{tally}");
    assert_eq!(looked.code, Some(i32::from(severity == "problem")), "{}", looked.output);
    assert_eq!(looked.errors, "");
}

#[track_caller]
fn check_well(looked: &Exited) {
    assert_eq!(looked.code, Some(0), "{}{}", looked.output, looked.errors);
    assert!(looked.output.ends_with("\n0 problems, 0 warnings\n"), "{}", looked.output);
}

#[test]
fn a_proxy_as_in_the_readme_is_well() {
    for kind in Kind::installed() {
        let trusted = trusted_proxies();
        let patient = Patient::new(kind, &[("TRUSTED_PROXIES", &trusted)], &Changes::default());
        let looked = patient.look(&[], &[]);
        check_well(&looked);
        for part in [
            &format!("{} leads to a sync server", patient.url),
            "the proxy is believed; the server sees you as 127.0.0.1",
            "it opens, and an action is answered; how long",
            "in step with the public address",
        ] {
            assert!(looked.output.contains(part), "{part} is not in {}", looked.output);
        }
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_proxy_that_speaks_tls_is_well_if_its_certificate_is_known() {
    let Some(certificate) = Certificate::make() else { return };
    let authority = certificate.file().display().to_string();
    let known = [("SSL_CERT_FILE", authority.as_str())];
    let trusted = trusted_proxies();
    let changes = Changes { tls: Some(&certificate), ..Changes::default() };
    for kind in Kind::installed() {
        let patient = Patient::new(kind, &[("TRUSTED_PROXIES", &trusted)], &changes);
        check_well(&patient.look(&[], &known));
        let unknown = "cannot be trusted (invalid peer certificate: UnknownIssuer)";
        check_only(&patient.look(&[], &[]), "problem", "address", unknown);
        let other_name = format!("https://{}", patient.proxy.address());
        let looked = patient.look(&[&other_name], &known);
        check_only(&looked, "problem", "address", "cannot be trusted");
        let missing = [("SSL_CERT_FILE", "/none")];
        check_only(&patient.look(&[], &missing), "problem", "address", "SSL_CERT_FILE=/none: No");
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_proxy_that_hides_its_tls_would_send_pages_to_the_wrong_address() {
    let Some(certificate) = Certificate::make() else { return };
    let authority = certificate.file().display().to_string();
    let trusted = trusted_proxies();
    if !Kind::installed().any(|kind| kind == Kind::Nginx) {
        return;
    }
    // Without PUBLIC_URL the server has only the proxy's word.
    let server = Server::start(&[("TRUSTED_PROXIES", &trusted)]);
    let port = server.address().port().to_string();
    let changes = Changes {
        tls: Some(&certificate),
        without: &["proxy_set_header X-Forwarded-Proto"],
        ..Changes::default()
    };
    let proxy = Proxy::start(Kind::Nginx, Upstream::Tcp(server.address()), &changes);
    let url = format!("https://localhost:{}", proxy.address().port());
    let settings = [("PORT", port.as_str()), ("SSL_CERT_FILE", &authority), FEW_CONNECTIONS];
    let looked = run(&["doctor", &url], &settings);
    let told = "clients are told to connect to ws://localhost/ws instead of wss://localhost:";
    check_only(&looked, "problem", "client", told);
}

#[test]
fn what_a_proxy_does_not_pass_on_is_named() {
    if !Kind::installed().any(|kind| kind == Kind::Nginx) {
        return;
    }
    let trusted = trusted_proxies();
    let upgrade =
        &["proxy_http_version", "proxy_set_header Upgrade", "proxy_set_header Connection"];
    for (without, trusted, subject, part) in [
        (&["proxy_set_header Upgrade"][..], trusted.as_str(), "WebSocket", "header Upgrade (426)"),
        (&["proxy_set_header Connection"], &trusted, "WebSocket", "on Connection: Upgrade (400)"),
        (&["proxy_http_version"], &trusted, "WebSocket", "speaks HTTP/1.0"),
        (upgrade, &trusted, "WebSocket", "proxy_set_header Upgrade $http_upgrade;"),
        (&["proxy_set_header X-Forwarded-For"], &trusted, "client", "does not say who its clients"),
        (&[], "", "client", "set TRUSTED_PROXIES=127.0.0.1 and restart it"),
        (&[], "10.0.0.0/8", "client", "set TRUSTED_PROXIES=127.0.0.1 and restart it"),
    ] {
        let changes = Changes { without, ..Changes::default() };
        let patient = Patient::new(Kind::Nginx, &[("TRUSTED_PROXIES", trusted)], &changes);
        check_only(&patient.look(&[], &[]), "problem", subject, part);
    }
}

#[test]
fn a_proxy_that_is_impatient_is_found_if_there_is_time() {
    if !Kind::installed().any(|kind| kind == Kind::Nginx) {
        return;
    }
    let changes = Changes { with: "proxy_read_timeout 3s;", ..Changes::default() };
    let trusted = trusted_proxies();
    let patient = |interval| {
        let settings = [("TRUSTED_PROXIES", trusted.as_str()), ("PING_INTERVAL_SECONDS", interval)];
        Patient::new(Kind::Nginx, &settings, &changes)
    };
    let looked = patient("30").look(&["--slow"], &[]);
    check_only(&looked, "problem", "silence", "a WebSocket that said nothing ended after ");
    let looked = patient("1").look(&["--slow"], &[]);
    check_well(&looked);
    let open = "a WebSocket that said nothing for 7 s is open";
    assert!(looked.output.contains(open), "{}", looked.output);
}

#[test]
fn an_address_that_leads_elsewhere_is_not_taken_for_ours() {
    let server = Server::start(&[]);
    let port = server.address().port().to_string();
    let at = server.address();
    let closed = free_address();
    let mut cases = vec![
        (format!("http://{closed}"), "takes no connections (127.0.0.1:"),
        (format!("http://{at}/below"), "has no /health (404): correct its path"),
        ("http://nowhere.invalid".to_owned(), "nowhere.invalid has no address here"),
    ];
    if cfg!(feature = "tls") {
        cases.push((format!("https://{at}"), "it speaks no TLS"));
    }
    let proxies: Vec<Proxy> = Kind::installed()
        .map(|kind| Proxy::start(kind, Upstream::Tcp(closed), &Changes::default()))
        .collect();
    let not_reached = "answers 502: the proxy does not reach the server";
    cases.extend(proxies.iter().map(|proxy| (format!("http://{}", proxy.address()), not_reached)));
    for (url, part) in &cases {
        let looked = run(&["doctor", url], &[("PORT", &port), FEW_CONNECTIONS]);
        check_only(&looked, "problem", "address", part);
    }
}
