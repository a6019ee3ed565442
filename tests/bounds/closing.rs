//! How long an administrator waits for a room to be deleted, and what becomes of it after that.

use sync_server::accounts::Identity;
use sync_server::base::ids::JobId;
use sync_server::config::Config;
use sync_server::engine::{Job, Outcome};
use sync_server::store::{Role, StoreError};

use crate::world::{World, after, close_code};

const CLOSE: &str = "DELETE /api/admin/rooms/ROOM HTTP/1.1\r\nHost: a\r\n\r\n";
const CREATE: &str = "POST /api/rooms HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n\
    {\"desired_room_code\":\"ROOM\"}";

fn is_lookup((_, job): &(JobId, Job)) -> bool {
    matches!(job, Job::FindRoom { .. })
}

fn is_save((_, job): &(JobId, Job)) -> bool {
    matches!(job, Job::SaveRooms { .. })
}

fn is_deletion((_, job): &(JobId, Job)) -> bool {
    matches!(job, Job::DeleteRoom { .. })
}

fn is_authentication((_, job): &(JobId, Job)) -> bool {
    matches!(job, Job::Authenticate { .. })
}

/// Ends the one job of a kind.
#[track_caller]
fn end(world: &mut World, is_kind: impl Fn(&(JobId, Job)) -> bool, outcome: Outcome) {
    let index = world.network.jobs.iter().position(is_kind).expect("there is such a job");
    world.end_job(index, outcome);
}

/// A world with `ROOM`, which is being saved, and a member of it.
fn world() -> (World, usize) {
    let mut world = World::new(Config::default());
    let maker = world.connect();
    world.send(maker, CREATE);
    end(&mut world, is_lookup, Outcome::FoundRoom(Ok(None)));
    assert!(world.take_text(maker).starts_with("HTTP/1.1 201 "));
    let member = world.join("ROOM");
    (world, member)
}

/// Somebody with `role` asks for the room to be closed; the number of the connection.
fn ask_to_close(world: &mut World, role: Role) -> usize {
    let admin = world.connect();
    world.send(admin, CLOSE);
    let identity = Identity { user_id: "u".to_owned(), role, version: 0 };
    end(world, is_authentication, Outcome::Authenticated(Ok(identity)));
    admin
}

#[test]
fn a_deletion_waits_for_a_save_and_the_administrator_for_both() {
    let (mut world, member) = world();
    let bob = ask_to_close(&mut world, Role::User);
    assert!(world.take_text(bob).starts_with("HTTP/1.1 403 "));
    assert!(world.is_open(member));
    let ann = ask_to_close(&mut world, Role::Admin);
    assert_eq!(close_code(&world.take(member)), Some(1008));
    assert!(!world.network.jobs.iter().any(is_deletion), "a save is under way");
    end(&mut world, is_save, Outcome::SavedRooms(vec![Ok(())]));
    assert_eq!(world.take(ann), b"", "it is stored");
    end(&mut world, is_deletion, Outcome::DeletedRoom(Ok(())));
    assert!(world.take_text(ann).starts_with("HTTP/1.1 200 "));
}

#[test]
fn after_five_seconds_the_administrator_is_told_but_nobody_gets_in() {
    let (mut world, _) = world();
    let ann = ask_to_close(&mut world, Role::Admin);
    world.pass_until(after(4));
    assert_eq!(world.take(ann), b"");
    world.pass_until(after(5));
    let told = world.take_text(ann);
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("has not deleted it"), "{told}");
    let late = world.connect();
    world.send(late, CREATE);
    assert!(world.take_text(late).starts_with("HTTP/1.1 503 "));
    // A store that comes back does what it was asked; nobody hears it.
    end(&mut world, is_save, Outcome::SavedRooms(vec![Ok(())]));
    end(&mut world, is_deletion, Outcome::DeletedRoom(Ok(())));
    assert_eq!(world.take(ann), b"");
    world.send(late, CREATE);
    end(&mut world, is_lookup, Outcome::FoundRoom(Ok(None)));
    assert!(world.take_text(late).starts_with("HTTP/1.1 201 "));
}

#[test]
fn an_administrator_who_goes_is_not_answered_and_a_store_that_fails_is_reported() {
    let (mut world, _) = world();
    end(&mut world, is_save, Outcome::SavedRooms(vec![Ok(())]));
    let ann = ask_to_close(&mut world, Role::Admin);
    world.lose(ann);
    let away = StoreError::Unavailable("simulated".to_owned());
    end(&mut world, is_deletion, Outcome::DeletedRoom(Err(away.clone())));
    assert_eq!(world.take(ann), b"");
    world.pass_until(after(6));
    world.answer_probes();

    let ann = ask_to_close(&mut world, Role::Admin);
    end(&mut world, is_lookup, Outcome::FoundRoom(Ok(None)));
    assert!(world.take_text(ann).starts_with("HTTP/1.1 404 "), "it has left memory");
    let (mut world, _) = self::world();
    end(&mut world, is_save, Outcome::SavedRooms(vec![Ok(())]));
    let ann = ask_to_close(&mut world, Role::Admin);
    end(&mut world, is_deletion, Outcome::DeletedRoom(Err(away)));
    assert!(world.take_text(ann).starts_with("HTTP/1.1 503 "));
}
