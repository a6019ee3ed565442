//! Lookups, write-behind, and what survives what.

use super::{check, config};
use crate::rooms::RoomsConfig;

#[test]
fn a_create_looks_first_and_is_written_at_once() {
    check(
        config(),
        r"
        0 http: create R by ann
            ? R
            http = waits
        5 store: R missing
            + R created
            > R#1 id=id-1 host=ann
            http = created R id=id-1 host=ann
        6 clock: next
            at never, 1 unsaved
        9 store: saved R#1
            durable R#1
        9 clock: next
            at 60005, 0 unsaved
        ",
    );
}

#[test]
fn a_taken_code_is_told_apart_by_who_wanted_it() {
    check(
        config(),
        r"
        0 a: create R by ann drawn
            ? R
            a = waits
        0 b: create R by bob
            b = waits
        0 c: create R by cy drawn
            c = waits
        5 store: R has R id=old host=h doc=d
            a = taken
            + R restored
            b = restored R id=old host=h with document
            c = taken
        6 d: create R by dan drawn
            d = taken
        7 d: create R by dan
            d = restored R id=old host=h with document
        ",
    );
}

#[test]
fn two_creates_of_one_code_make_one_room() {
    check(
        config(),
        r"
        0 a: create R by ann
            ? R
            a = waits
        1 b: create R by bob
            b = waits
        5 store: R missing
            + R created
            > R#1 id=id-1 host=ann
            a = created R id=id-1 host=ann
            b = restored R id=id-1 host=ann
        ",
    );
}

#[test]
fn a_join_restores_the_room_and_all_who_wait_get_in() {
    check(
        config(),
        r"
        0 ann: join r as ann host
            ? r
            ann = waits
        1 bob: join r as bob
            bob = waits
        2 http: view r
            http = waits
        3 cy: join r as cy
            cy = waits
        4 cy: gone
        5 store: r has R id=old host=ann doc=d
            + R restored
            ann < connected ann R
            ann < room R host=ann [ann*]
            ann < document d
            ann = now
            bob < connected bob R
            bob < room R host=ann [ann* bob]
            bob < document d
            ann < joined bob at 5
            bob = now
            http = R host=ann [ann* bob]
        6 clock: next
            at never, 0 unsaved
        ",
    );
}

#[test]
fn a_room_of_the_old_backend_is_given_an_id() {
    check(
        config(),
        r"
        0 ann: join R as ann
            ? R
            ann = waits
        5 store: R has R doc=d
            + R restored
            ann < connected ann R
            ann < room R host= [ann]
            ann < document d
            > R#2 id=fresh-1 host= doc=d
            ann = now
        ",
    );
}

#[test]
fn a_stored_room_is_shown_without_coming_to_memory() {
    check(
        config(),
        r"
        0 http: view R
            ? R
            http = waits
        5 store: R has R host=ann doc=d
            http = R host=ann []
        6 http: view R
            ? R
            http = waits
        7 store: R missing
            http = Room not found
        8 http: view R
            ? R
            http = waits
        9 store: R down
            http = The room store does not answer, try again later
        10 clock: next
            at never, 0 unsaved
        ",
    );
}

#[test]
fn while_the_store_is_down_drawn_codes_are_served() {
    check(
        config(),
        r"
        0 http: create R by ann drawn
            ? R
            http = waits
        1 desired: create S by ann
            ? S
            desired = waits
        2 bob: join T as bob
            ? T
            bob = waits
        5 store: R down
            + R created
            > R#1 id=id-1 host=ann
            http = created R id=id-1 host=ann
        5 store: S down
            desired = The room store does not answer, try again later
        5 store: T down
            bob = The room store does not answer, try again later
        6 bob: join R as bob
            bob < connected bob R
            bob < room R host=ann [bob]
            bob = now
        ",
    );
}

#[test]
fn auto_create_waits_for_the_store_too() {
    check(
        RoomsConfig { auto_create: true, ..config() },
        r"
        0 ann: join R as ann host
            ? R
            ann = waits
        1 bob: join R as bob host
            bob = waits
        5 store: R missing
            + R created
            ann < connected ann R
            ann < room R host=ann [ann*]
            > R#1 id=fresh-1 host=ann
            ann = now
            bob < connected bob R
            bob < room R host=ann [ann* bob]
            ann < joined bob at 5
            bob = now
        6 cy: join S as cy
            ? S
            cy = waits
        7 store: S down
            cy = The room store does not answer, try again later
        ",
    );
}

#[test]
fn who_waits_for_another_room_is_still_in_the_old_one() {
    check(
        RoomsConfig { auto_create: true, ..config() },
        r"
        0 given: R id=r ann bob
        2 bob: join S as bob
            ? S
            bob = waits
        3 ann: say x
            bob < data ann x
            ann = now
        4 store: S down
            bob = The room store does not answer, try again later
        5 ann: say y
            bob < data ann y
            ann = now
        6 bob: join S as bob
            ? S
            bob = waits
        7 store: S has S id=s
            + S restored
            ann < left bob
            bob < connected bob S
            bob < room S host= [bob]
            bob = now
        8 ann: join S as ann
            ann < connected ann S
            ann < room S host= [bob ann]
            bob < joined ann at 8
            ann = now
        9 bob: join T as bob
            ? T
            bob = waits
        10 bob: gone
            ann < left bob
        11 store: T missing
        ",
    );
}

#[test]
fn the_spelling_that_exists_wins_over_the_one_in_memory() {
    check(
        config(),
        r"
        0 given: TEAM host=eve
        2 ann: join team as ann
            ? team
            ann = waits
        3 store: team has team id=t host=h
            + team restored
            ann < connected ann team
            ann < room team host=h [ann]
            ann = now
        4 bob: join Team as bob
            ? Team
            bob = waits
        5 store: Team missing
            bob < connected bob TEAM
            bob < room TEAM host=eve [bob]
            bob = now
        6 cy: join teaM as cy
            ? teaM
            cy = waits
        7 store: teaM down
            cy < connected cy TEAM
            cy < room TEAM host=eve [bob cy]
            bob < joined cy at 7
            cy = now
        ",
    );
}

#[test]
fn a_late_answer_does_not_bring_an_old_state_back() {
    check(
        RoomsConfig { auto_create: true, ..config() },
        r"
        0 ann: join r as ann host
            ? r
            ann = waits
        1 bob: join R as bob host
            ? R
            bob = waits
        2 store: R has R id=i host=bob doc=old
            + R restored
            bob < connected bob R
            bob < room R host=bob [bob*]
            bob < document old
            bob = now
        3 bob: sync new
            > R#2 id=i host=bob doc=new
            bob = when durable R#2
        4 bob: gone
        5 store: saved R#2
            durable R#2
        60_010 clock: tick
        60_011 clock: evict
            evicted false
        60_012 store: r has R id=i host=bob doc=old
            ann < connected ann R
            ann < room R host=bob [ann]
            ann < document new
            ann = now
        60_013 store: r has R id=i host=bob doc=old
        ",
    );
}

/// An older server let a code be any text, and the store knows capitals of every alphabet.
#[test]
fn nor_does_one_to_a_code_with_other_letters_than_ascii() {
    check(
        config(),
        r"
        0 ann: join né as ann
            ? né
            ann = waits
        1 bob: join NÉ as bob host
            ? NÉ
            bob = waits
        2 store: NÉ has NÉ id=i host=bob doc=old
            + NÉ restored
            bob < connected bob NÉ
            bob < room NÉ host=bob [bob*]
            bob < document old
            bob = now
        3 bob: sync new
            > NÉ#2 id=i host=bob doc=new
            bob = when durable NÉ#2
        4 bob: gone
        5 store: saved NÉ#2
            durable NÉ#2
        6 clock: evict
            evicted false
        60_010 clock: tick
        60_011 store: né has NÉ id=i host=bob doc=old
            ann < connected ann NÉ
            ann < room NÉ host=bob [ann]
            ann < document new
            ann = now
        60_012 cy: join né as cy
            ? né
            cy = waits
        60_013 store: né down
            cy < connected cy NÉ
            cy < room NÉ host=bob [ann cy]
            cy < document new
            ann < joined cy at 60013
            cy = now
        ",
    );
}

#[test]
fn documents_are_written_at_once_and_then_once_a_second() {
    check(
        config(),
        r"
        0 given: R id=i host=ann ann*
        5_000 ann: sync a
            > R#2 id=i host=ann doc=a
            ann = when durable R#2
        5_001 ann: sync b
            ann = when durable R#3
        5_002 store: saved R#2
            durable R#2
        5_002 clock: next
            at 6000, 1 unsaved
        5_999 ann: sync c
            ann = when durable R#4
        5_999 clock: tick
        6_000 clock: tick
            > R#4 id=i host=ann doc=c
        6_900 ann: sync d
            ann = when durable R#5
        7_500 ann: sync e
            ann = when durable R#6
        8_000 clock: next
            at never, 1 unsaved
        8_000 clock: tick
        8_100 store: saved R#4
            durable R#4
            > R#6 id=i host=ann doc=e
        8_200 store: saved R#6
            durable R#6
        9_150 ann: sync f
            > R#7 id=i host=ann doc=f
            ann = when durable R#7
        ",
    );
}

#[test]
fn a_failed_write_is_tried_again_less_and_less_often() {
    check(
        config(),
        r"
        0 given: R id=i host=ann ann*
        0 ann: sync a
            > R#2 id=i host=ann doc=a
            ann = when durable R#2
        500 store: failed R#2
        500 clock: next
            at 1500, 1 unsaved
        600 ann: sync b
            ann = when durable R#3
        1_500 clock: tick
            > R#3 id=i host=ann doc=b
        1_500 store: failed R#3
        1_500 clock: next
            at 3500, 1 unsaved
        3_500 clock: tick
            > R#3 id=i host=ann doc=b
        3_500 store: failed R#3
        7_500 clock: tick
            > R#3 id=i host=ann doc=b
        7_500 store: failed R#3
        15_500 clock: tick
            > R#3 id=i host=ann doc=b
        15_500 store: failed R#3
        31_500 clock: tick
            > R#3 id=i host=ann doc=b
        31_500 store: failed R#3
        31_500 clock: next
            at 61500, 1 unsaved
        61_500 clock: tick
            > R#3 id=i host=ann doc=b
        61_500 store: failed R#3
        61_500 clock: next
            at 91500, 1 unsaved
        91_500 clock: tick
            > R#3 id=i host=ann doc=b
        91_500 store: saved R#3
            durable R#3
        93_000 ann: sync c
            > R#4 id=i host=ann doc=c
            ann = when durable R#4
        93_000 store: failed R#4
        93_000 clock: next
            at 94000, 1 unsaved
        ",
    );
}

#[test]
fn a_room_whose_code_is_anothers_in_the_store_lives_in_memory_only() {
    check(
        config(),
        r"
        0 given: R host=ann ann*
        2 ann: sync a
            ann = when durable R#2
        3 store: conflict R#1
            never durable R
            + R conflicted
        4 ann: sync b
            ann = not durable
        4 clock: next
            at never, 0 unsaved
        5 ann: gone
        5 clock: next
            at 60005, 0 unsaved
        6 clock: evict
            evicted false
        60_005 clock: tick
            + R expired
        ",
    );
}

#[test]
fn shutting_down_writes_everything_that_is_not_stored() {
    check(
        config(),
        r"
        0 given: A id=i host=a a*
        0 given: B id=j host=b b*
        10 a: sync a1
            > A#2 id=i host=a doc=a1
            a = when durable A#2
        10 b: sync b1
            > B#2 id=j host=b doc=b1
            b = when durable B#2
        20 store: saved A#2
            durable A#2
        30 a: sync a2
            a = when durable A#3
        30 b: sync b2
            b = when durable B#3
        40 clock: flush
            > A#3 id=i host=a doc=a2
        41 clock: flush
        42 c: join A as c
            c < connected c A
            c < room A host=a [a* c]
            c < document a2
            a < joined c at 42
            c = now
        50 store: saved B#2
            durable B#2
            > B#3 id=j host=b doc=b2
        60 store: failed A#3
        60 clock: next
            at 1060, 2 unsaved
        1_060 clock: tick
            > A#3 id=i host=a doc=a2
        1_061 store: failed A#3
        1_061 clock: next
            at 2061, 2 unsaved
        1_070 store: saved B#3
            durable B#3
        1_080 clock: flush
            > A#3 id=i host=a doc=a2
        1_090 store: saved A#3
            durable A#3
        1_090 clock: next
            at never, 0 unsaved
        1_091 a: sync a3
            c < document a3
            > A#4 id=i host=a doc=a3
            a = when durable A#4
        ",
    );
}
