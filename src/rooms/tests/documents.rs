//! Documents that leave memory and come back.

use super::{check, config, memory};
use crate::rooms::RoomsConfig;

#[test]
fn a_join_waits_for_a_document_that_only_the_store_has() {
    check(
        config(),
        r"
        1 ann: join R as ann
            ? R
            ann = waits
        2 store: R has R id=i host=h unread=5
            + R restored
            < R id=i 5 bytes for ann
            ann = waits for the document
        3 bob: join R as bob
            bob = waits for the document
        5 store: document R text
            ann < connected ann R
            ann < room R host=h [ann]
            ann < document text
            ann = now
            bob < connected bob R
            bob < room R host=h [ann bob]
            bob < document text
            ann < joined bob at 5
            bob = now
        6 clock: free 1
            + R unloaded
            freed 4
        7 ann: ask
            < R id=i 4 bytes for ann
            ann = waits for the document
        8 bob: say 1
            ann < data bob 1
            bob = now
        9 store: document R text
            ann < document text
            ann = now
        ",
    );
}

#[test]
fn what_is_written_meanwhile_wins_over_what_was_read() {
    check(
        config(),
        r"
        0 given: R id=i host=ann doc=old ann* bob
        1 clock: free 1
            + R unloaded
            freed 3
        2 bob: ask
            < R id=i 3 bytes for bob
            bob = waits for the document
        3 ann: sync newer
            bob < document newer
            > R#2 id=i host=ann doc=newer
            ann = when durable R#2
        4 store: saved R#2
            durable R#2
        5 clock: free 1
            freed 0
        6 store: document R old
            bob < document newer
            bob = now
        7 clock: free 1
            + R unloaded
            freed 5
        ",
    );
}

#[test]
fn a_read_that_fails_refuses_those_who_wait_and_is_made_again_for_the_next() {
    check(
        config(),
        r"
        0 given: R id=i host=ann doc=text ann* bob
        1 clock: free 1
            + R unloaded
            freed 4
        2 bob: ask
            < R id=i 4 bytes for bob
            bob = waits for the document
        3 store: document R down
            bob = The room store does not answer, try again later
        4 bob: ask
            < R id=i 4 bytes for bob
            bob = waits for the document
        5 store: document R gone
            + R documentlost
            bob < document none
            bob = now
        ",
    );
}

#[test]
fn a_room_is_written_without_a_document_that_only_the_store_has() {
    check(
        config(),
        r"
        1 ann: join R as ann host
            ? R
            ann = waits
        2 store: R has R id=i unread=5
            + R restored
            < R id=i 5 bytes for ann
            ann = waits for the document
        3 http: create R by ann
            http = restored R id=i host= with document
        4 store: document R text
            ann < connected ann R
            ann < room R host=ann [ann*]
            ann < document text
            > R#2 id=i host=ann doc=text
            ann = now
        5 store: saved R#2
            durable R#2
        6 bob: join R as bob
            bob < connected bob R
            bob < room R host=ann [ann* bob]
            bob < document text
            ann < joined bob at 6
            bob = now
        7 cy: view R
            cy = R host=ann [ann* bob]
        ",
    );
    check(
        config(),
        r"
        1 cy: create R by cy
            ? R
            cy = waits
        2 store: R has R host=h unread=5
            + R restored
            > R#2 id=fresh-1 host=h unread=5
            cy = restored R id=fresh-1 host=h with document
        ",
    );
}

#[test]
fn empty_rooms_go_first_then_the_least_lately_used() {
    check(
        RoomsConfig { rooms_max: 9, ..config() },
        r"
        1 given: LIVE id=i host=ann doc=live ann*
        2 given: QUIET id=i host=bob doc=quiet bob*
        3 given: FIRST id=i host=cy doc=first cy*
        4 given: LATER id=i host=dan doc=later dan*
        5 given: DIRTY id=i host=eve doc=dirty eve*
        6 eve: sync fresh
            > DIRTY#2 id=i host=eve doc=fresh
            eve = when durable DIRTY#2
        7 cy: leave
            cy = now
        8 dan: leave
            dan = now
        9 ann: ask
            ann < document live
            ann = now
        10 clock: free 5
            + FIRST unloaded
            freed 5
        11 clock: free 6
            + LATER unloaded
            + QUIET unloaded
            freed 10
        12 clock: free 99
            + LIVE unloaded
            freed 4
        13 clock: free 99
            freed 0
        ",
    );
}

#[test]
fn without_a_store_only_a_room_that_is_empty_for_long_goes_and_with_it_all() {
    check(
        RoomsConfig { idle_timeout: None, ..memory() },
        r"
        1 ann: join R as ann host
            ann = Room not found
        2 given: R host=ann ann*
        3 given: S host=bob bob*
        4 ann: sync text
            ann = now
        5 bob: sync text
            bob = now
        6 ann: leave
            ann = now
        7 clock: free 1
            freed 0
        120_005 clock: free 1
            freed 0
        120_006 clock: free 99
            + R dropped
            freed 4
        ",
    );
}

#[test]
fn a_room_whose_document_is_on_its_way_stays_in_memory() {
    check(
        config(),
        r"
        1 ann: join R as ann
            ? R
            ann = waits
        2 store: R has R id=i host=h unread=5
            + R restored
            < R id=i 5 bytes for ann
            ann = waits for the document
        3 clock: evict
            evicted false
        60_002 clock: tick
        60_003 ann: gone
        60_004 store: document R text
        120_001 clock: tick
        120_002 clock: tick
            + R expired
        ",
    );
}

#[test]
fn a_room_that_is_closed_gives_no_document() {
    check(
        config(),
        r"
        0 given: R id=i host=ann doc=text ann*
        1 clock: free 1
            + R unloaded
            freed 4
        2 ann: ask
            < R id=i 4 bytes for ann
            ann = waits for the document
        3 bob: join R as bob
            bob = waits for the document
        5 admin: close R
            dismissed ann
            + R closed
            - R id=i
            admin = when deleted
        7 ann: gone
        8 store: document R text
            bob = The room store does not answer, try again later
        9 store: deleted R
        ",
    );
}
