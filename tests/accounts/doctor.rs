//! `sync-server doctor` and a MongoDB that answers.

use crate::mongodb_server;
use crate::support::run;

#[test]
fn the_doctor_reads_and_compares_clocks_but_shows_no_password() {
    let Some(mongo) = mongodb_server::Server::start() else { return };
    let uri = mongo.uri();
    let look = |uri: &str| run(&["doctor"], &[("MONGODB_URI", uri), ("DB_NAME", "unheard_of")]);
    let looked = look(&uri);
    assert!(looked.output.contains("\nok      store      MongoDB at "), "{}", looked.output);
    assert!(looked.output.contains("in step with MongoDB\n"), "{}", looked.output);
    assert_eq!(looked.code, Some(0), "{}", looked.output);

    let (_, rest) = uri.split_once("://").expect("a URI");
    let (login, hosts) = rest.split_once('@').expect("with a password");
    let (user, password) = login.split_once(':').expect("with a password");
    assert!(!looked.output.contains(password), "{}", looked.output);
    let refused = look(&format!("mongodb://{user}:hunter2@{hosts}"));
    assert_eq!(refused.code, Some(1), "{}", refused.output);
    assert!(refused.output.contains("MongoDB refuses the user or password"), "{}", refused.output);
    assert!(!refused.output.contains("hunter2"), "{}", refused.output);
}
