//! Lanes, turns and bounds, in virtual time.

use std::net::Ipv4Addr;

use super::*;
use crate::accounts::{AccountRequest, AccountRoute};
use crate::base::ids::{ConnId, RoomKey};
use crate::config::HostAuth;
use crate::engine::waiting::AskedAccount;
use crate::rooms::StoredDocument;

const PROBE: Job = Job::Probe { now: UnixMillis(0) };
const AT: UnixMillis = UnixMillis(7);
const MIB: usize = 1 << 20;

/// The clients at the address with this number.
fn owner(number: u8) -> Owner {
    Owner::at(Ipv4Addr::new(192, 0, 2, number).into())
}

fn jobs(workers: usize) -> Jobs {
    Jobs::new(MemoryBudget::new(64 * MIB), workers)
}

fn login(bytes: usize) -> Job {
    let (route, body) = (AccountRoute::Login, vec![b' '; bytes]);
    let request = AccountRequest { route, credentials: None, setup_token: None, body };
    Job::Account { request: Box::new(request), now: UnixMillis(0) }
}

/// The request of some client.
fn asked() -> Waiting {
    let conn = ConnId { index: 0, generation: 1 };
    Waiting::Account(conn, AskedAccount { login: None, is_secure: false })
}

fn lookup() -> (Job, Waiting) {
    (Job::FindRoom { room_code: "ROOM".to_owned() }, Waiting::Lookup("ROOM".to_owned()))
}

fn start_login(jobs: &mut Jobs, number: u8) -> JobId {
    jobs.start(owner(number), login(0), asked(), Timestamp(0)).expect("there is a place")
}

fn start_lookup(jobs: &mut Jobs, number: u8) -> JobId {
    let (job, waiting) = lookup();
    jobs.start(owner(number), job, waiting, Timestamp(0)).expect("there is a place")
}

/// Twenty jobs of one address.
fn twenty(jobs: &mut Jobs, start: fn(&mut Jobs, u8) -> JobId) {
    for _ in 0..20 {
        start(jobs, 1);
    }
}

fn save(jobs: &mut Jobs, index: u32) {
    let room = StoredRoom {
        room_code: format!("ROOM{index}"),
        room_id: None,
        host_id: None,
        host_auth: HostAuth::PeerId,
        host_token: None,
        document: StoredDocument::None,
        created_at: UnixMillis(0),
    };
    let key = RoomKey { index, generation: 1 };
    jobs.save(Save { room: key, revision: 1, since: Timestamp(0) }, room);
}

fn delete(jobs: &mut Jobs, index: u32) -> JobId {
    let job = Job::DeleteRoom { room_code: format!("ROOM{index}"), room_id: "r".to_owned() };
    let waiting = Waiting::Delete(RoomKey { index, generation: 1 });
    jobs.start(Owner::Server, job, waiting, Timestamp(0)).expect("deletions are never refused")
}

/// All that may start now.
fn started(jobs: &mut Jobs) -> Vec<JobId> {
    std::iter::from_fn(|| jobs.next(AT)).map(|(id, _)| id).collect()
}

fn counts(by_lane: [(&'static str, usize); 3]) -> [usize; 3] {
    by_lane.map(|(_, count)| count)
}

#[test]
fn each_lane_has_a_worker_that_no_other_takes() {
    let mut jobs = jobs(2);
    for _ in 0..3 {
        start_login(&mut jobs, 1);
        start_lookup(&mut jobs, 1);
        delete(&mut jobs, 1);
    }
    assert_eq!(counts(jobs.queued()), [3, 3, 3]);
    assert_eq!(started(&mut jobs).len(), 3);
    assert_eq!(counts(jobs.running()), [1, 1, 1]);
    assert_eq!(counts(jobs.queued()), [2, 2, 2]);
}

#[test]
fn hashes_never_take_all_workers_and_neither_do_reads() {
    for (workers, of_each) in [(1, 1), (2, 1), (3, 2), (4, 3), (16, 15)] {
        let mut jobs = Jobs::new(MemoryBudget::new(1024 * MIB), workers);
        twenty(&mut jobs, start_login);
        assert_eq!(started(&mut jobs).len(), of_each, "{workers} workers");
        twenty(&mut jobs, start_lookup);
        assert_eq!(started(&mut jobs).len(), workers - of_each, "what hashes leave");
        let mut jobs = Jobs::new(MemoryBudget::new(1024 * MIB), workers);
        twenty(&mut jobs, start_lookup);
        assert_eq!(started(&mut jobs).len(), of_each, "{workers} workers");
    }
}

#[test]
fn one_worker_alone_reads_and_hashes_by_turns() {
    let mut jobs = jobs(1);
    let hashes = [1, 2].map(|_| start_login(&mut jobs, 1));
    let reads = [1, 2].map(|_| start_lookup(&mut jobs, 1));
    for id in [reads[0], hashes[0], reads[1], hashes[1]] {
        assert_eq!(started(&mut jobs), [id]);
        jobs.done(id, Timestamp(0));
    }
}

#[test]
fn addresses_take_turns_in_each_lane() {
    let mut jobs = jobs(2);
    let crowd: Vec<JobId> = (0..100).map(|_| start_lookup(&mut jobs, 1)).collect();
    let hashes: Vec<JobId> = (0..100).map(|_| start_login(&mut jobs, 1)).collect();
    assert_eq!(started(&mut jobs), [crowd[0], hashes[0]]);
    let (other, other_hash) = (start_lookup(&mut jobs, 2), start_login(&mut jobs, 2));
    let probe = jobs.start(Owner::Server, PROBE, Waiting::Probe, Timestamp(0)).unwrap();
    for (running, next) in [(crowd[0], crowd[1]), (crowd[1], other), (other, probe)] {
        jobs.done(running, Timestamp(0));
        assert_eq!(started(&mut jobs), [next]);
    }
    for (running, next) in [(hashes[0], hashes[1]), (hashes[1], other_hash)] {
        jobs.done(running, Timestamp(0));
        assert_eq!(started(&mut jobs), [next]);
    }
}

#[test]
fn one_address_may_fill_a_lane_and_makes_place_for_another() {
    let mut jobs = jobs(2);
    for _ in 0..QUEUE_MAX {
        start_lookup(&mut jobs, 1);
    }
    let (job, waiting) = lookup();
    let refused = jobs.start(owner(1), job, waiting, Timestamp(0));
    assert_eq!(refused, Err(QueueFull));
    assert!(jobs.displaced().is_none());
    assert_eq!(jobs.poll_timeout(), Some(Timestamp(0) + JOB_TIMEOUT));
    start_lookup(&mut jobs, 2);
    assert_eq!(jobs.poll_timeout(), Some(Timestamp(0)), "the one that made place is told now");
    assert!(matches!(jobs.displaced(), Some(Waiting::Lookup(_))));
    assert!(jobs.displaced().is_none());
    assert_eq!(counts(jobs.queued()), [QUEUE_MAX, 0, 0]);
    // Nothing of that concerns the server itself, rooms to be stored, or who logs in.
    jobs.start(Owner::Server, PROBE, Waiting::Probe, Timestamp(0)).unwrap();
    start_login(&mut jobs, 1);
    save(&mut jobs, 1);
    delete(&mut jobs, 2);
    assert!(jobs.displaced().is_none());
}

#[test]
fn rooms_that_wait_are_stored_together_one_job_at_a_time() {
    let mut jobs = jobs(2);
    save(&mut jobs, 1);
    let (first, job) = jobs.next(AT).unwrap();
    assert!(matches!(&job, Job::SaveRooms { rooms, now: AT } if rooms.len() == 1));
    for index in 2..=4 {
        save(&mut jobs, index);
    }
    let deletion = delete(&mut jobs, 5);
    assert!(jobs.next(AT).is_none(), "one at a time");
    assert!(matches!(jobs.done(first, Timestamp(0)), Some(Waiting::Saves(saves))
        if saves.len() == 1));
    assert_eq!(started(&mut jobs), [deletion], "after a group");
    assert!(matches!(jobs.done(deletion, Timestamp(0)), Some(Waiting::Delete(_))));
    let (second, job) = jobs.next(AT).unwrap();
    let Job::SaveRooms { rooms, .. } = &job else { panic!("{job:?}") };
    assert_eq!(
        rooms.iter().map(|room| &*room.room_code).collect::<Vec<_>>(),
        ["ROOM2", "ROOM3", "ROOM4"]
    );
    jobs.put_back(second, job);
    assert_eq!(counts(jobs.queued()), [0, 0, 3]);
    assert!(!jobs.is_idle());
    let (third, _) = jobs.next(AT).unwrap();
    let Some(Waiting::Saves(saves)) = jobs.done(third, Timestamp::from_secs(3)) else {
        panic!("three rooms wait for it");
    };
    assert_eq!(saves.iter().map(|save| save.room.index).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(jobs.is_idle());
    let (kind, saved) = jobs.durations().nth(1).unwrap();
    assert_eq!((kind, saved.count(), jobs.groups()), ("room_save", 4, 2));
    assert_eq!(jobs.budget.used(), 0);
}

#[test]
fn a_job_that_was_given_up_is_not_started_and_its_outcome_is_dropped() {
    let mut jobs = jobs(2);
    let at = Timestamp::from_secs(1);
    let start = |jobs: &mut Jobs| jobs.start(Owner::Server, PROBE, Waiting::Probe, at).unwrap();
    let (first, _second) = (start(&mut jobs), start(&mut jobs));
    assert_eq!(started(&mut jobs), [first]);
    assert_eq!(jobs.poll_timeout(), Some(at + JOB_TIMEOUT));
    assert!(jobs.expired(Timestamp::from_millis(5_999)).is_none());
    for is_running in [true, false] {
        let given_up = jobs.expired(Timestamp::from_secs(6)).expect("five seconds are over");
        assert!(matches!(given_up.waiting, Waiting::Probe));
        assert_eq!(given_up.was_started, is_running);
    }
    assert_eq!(counts(jobs.queued()), [0, 0, 0], "it takes no place any more");
    assert_eq!(counts(jobs.running()), [1, 0, 0], "its worker is not free yet");
    assert!(jobs.is_idle() && jobs.next(AT).is_none());
    assert!(jobs.done(first, at).is_none());
    assert_eq!((jobs.late(), counts(jobs.running())), (1, [0, 0, 0]));
}

#[test]
fn what_waits_counts_until_it_is_started_or_given_up() {
    let budget = MemoryBudget::new(100 * MIB);
    let mut jobs = Jobs::new(budget.clone(), 2);
    let start = |jobs: &mut Jobs, number, mebibytes| {
        jobs.start(owner(number), login(mebibytes * MIB), asked(), Timestamp(0))
    };
    assert!(start(&mut jobs, 1, 60).is_ok());
    assert_eq!(start(&mut jobs, 1, 60), Err(QueueFull), "no memory for it");
    assert!(start(&mut jobs, 1, 40).is_ok());
    assert_eq!(budget.used(), 100 * MIB);
    let (id, job) = jobs.next(AT).unwrap();
    assert_eq!(budget.used(), 40 * MIB + HASH_MEMORY_BYTES);
    jobs.put_back(id, job);
    assert_eq!(budget.used(), 100 * MIB);
    while jobs.expired(Timestamp(0) + JOB_TIMEOUT).is_some() {}
    assert!(jobs.next(AT).is_none());
    assert_eq!(budget.used(), 0);
}

#[test]
fn what_made_place_counts_no_more() {
    let mut jobs = jobs(2);
    for _ in 0..QUEUE_MAX {
        jobs.start(owner(1), login(100), asked(), Timestamp(0)).unwrap();
    }
    let before = jobs.budget.used();
    jobs.start(owner(2), login(100), asked(), Timestamp(0)).unwrap();
    assert_eq!(jobs.budget.used(), before);
}

#[test]
fn a_hash_counts_while_it_runs_and_a_second_one_must_find_memory() {
    let budget = MemoryBudget::new(3 * HASH_MEMORY_BYTES - 1);
    let mut jobs = Jobs::new(budget.clone(), 16);
    let all = [1, 2, 3, 4].map(|number| start_login(&mut jobs, number));
    assert_eq!(started(&mut jobs).len(), 2, "there is no memory for a third");
    jobs.done(all[0], Timestamp(0));
    jobs.done(all[1], Timestamp(0));
    budget.add(3 * HASH_MEMORY_BYTES);
    assert_eq!(started(&mut jobs), [all[2]], "one always runs");
    jobs.done(all[2], Timestamp(0));
    assert_eq!(started(&mut jobs), [all[3]]);
    jobs.done(all[3], Timestamp(0));
    assert_eq!(budget.used(), 3 * HASH_MEMORY_BYTES);

    let small = MemoryBudget::new(8 * MIB);
    let mut jobs = Jobs::new(small.clone(), 2);
    let id = start_login(&mut jobs, 1);
    assert_eq!(started(&mut jobs), [id]);
    assert_eq!(small.used(), 4 * MIB, "half of a budget that has no place for it");
    small.set_limit(64 * MIB);
    jobs.done(id, Timestamp(0));
    assert_eq!(small.used(), 0);
}

#[test]
fn a_job_that_was_not_taken_comes_first_again() {
    let mut jobs = jobs(2);
    let all = [1, 2, 1].map(|number| start_lookup(&mut jobs, number));
    let (id, job) = jobs.next(AT).unwrap();
    assert_eq!(id, all[0]);
    jobs.put_back(id, job);
    let deletion = delete(&mut jobs, 1);
    for id in all {
        assert!(started(&mut jobs).contains(&id));
        assert!(matches!(jobs.done(id, Timestamp(0)), Some(Waiting::Lookup(_))));
    }
    jobs.put_back(deletion, Job::DeleteRoom { room_code: "A".into(), room_id: "r".into() });
    assert_eq!(started(&mut jobs), [deletion]);
}
