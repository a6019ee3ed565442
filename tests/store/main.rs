//! One suite for every store (`cases`), and beside it what is special about each: faults of the
//! file in `sqlite`, faults of the server and old data in `mongo`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "how long a call takes is what is tested")]

#[cfg(any(feature = "mongodb", feature = "sqlite"))]
mod cases;
#[cfg(feature = "mongodb")]
mod mongo;
#[cfg(feature = "mongodb")]
#[path = "../support/mongodb/mod.rs"]
mod mongodb_server;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod temporary;

#[cfg(any(feature = "mongodb", feature = "sqlite"))]
/// Makes a test of each of the cases. `$database` is asked for a new database, or for none where
/// the tests are to be skipped.
macro_rules! suite {
    ($database:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                if let Some(database) = $database {
                    crate::cases::$case(&database);
                }
            }
        )*
    };
    ($database:expr) => {
        crate::suite! { $database;
            a_room_is_read_as_it_was_saved
            another_room_never_takes_a_code
            rooms_are_saved_together_and_each_has_its_own_outcome
            a_document_may_have_four_mebibytes
            a_document_is_read_apart_and_stays_without_another
            a_deleted_room_is_gone_and_another_stays
            the_first_user_comes_first_once
            of_24_first_users_one_is_made
            a_user_is_found_as_made
            an_email_is_taken_once
            users_are_listed_by_age
            only_what_is_asked_changes
            the_last_active_admin_stays
            of_admins_who_go_at_once_one_stays
            a_setup_link_works_once_and_in_time
            a_new_password_ends_the_setup_link
            a_hash_is_upgraded_unless_it_has_changed
            a_deleted_user_is_gone
            account_states_come_in_the_order_asked
            a_probe_works_beside_others
            an_error_is_one_line
        }
    };
}
#[cfg(any(feature = "mongodb", feature = "sqlite"))]
pub(crate) use suite;
