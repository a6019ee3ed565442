//! Who is in a room, and who hears what.

use super::{check, memory};
use crate::rooms::RoomsConfig;

fn auto() -> RoomsConfig {
    RoomsConfig { auto_create: true, ..memory() }
}

#[test]
fn a_joiner_gets_a_snapshot_and_the_others_hear_of_it() {
    check(
        memory(),
        r#"
        0 http: create ABC234 by ann
            + ABC234 created
            http = created ABC234 id=id-1 host=ann
        10 ann: join ABC234 as ann host metadata={"n":1}
            ann < connected ann ABC234
            ann < room ABC234 host=ann [ann*{"n":1}]
            ann = now
        20 bob: join ABC234 as bob
            bob < connected bob ABC234
            bob < room ABC234 host=ann [ann*{"n":1} bob]
            ann < joined bob at 20
            bob = now
        30 ann: sync one
            bob < document one
            ann = now
        40 cy: join ABC234 as cy
            cy < connected cy ABC234
            cy < room ABC234 host=ann [ann*{"n":1} bob cy]
            cy < document one
            ann bob < joined cy at 40
            cy = now
        50 bob: say "hi"
            ann cy < data bob "hi"
            bob = now
        60 bob: leave
            ann cy < left bob
            bob = now
        70 cy: gone
            ann < left cy
        80 ann: say "nobody hears this"
            ann = now
        90 ann: gone
        "#,
    );
}

#[test]
fn without_a_room_there_is_nothing_to_do() {
    check(
        memory(),
        r#"
        0 ann: say "hi"
            ann = Join a room first
        1 ann: sync one
            ann = Join a room first
        2 ann: ask
            ann = Join a room first
        3 ann: leave
            ann = Join a room first
        4 ann: join NOWHERE as ann
            ann = Room not found
        5 ann: gone
        6 ann: view NOWHERE
            ann = Room not found
        "#,
    );
}

#[test]
fn a_code_matches_as_it_is_and_then_in_capitals() {
    check(
        memory(),
        r"
        0 http: create ABC by ann
            + ABC created
            http = created ABC id=id-1 host=ann
        1 ann: join abc as ann
            ann < connected ann ABC
            ann < room ABC host=ann [ann]
            ann = now
        2 http: create aBc by bob
            http = restored ABC id=id-1 host=ann
        3 http: create own by bob
            + own created
            http = created own id=id-1 host=bob
        4 http: view own
            http = own host=bob []
        5 http: view OWN
            http = Room not found
        6 http: view abc
            http = ABC host=ann [ann]
        ",
    );
}

#[test]
fn tabs_of_one_peer_are_one_peer() {
    check(
        auto(),
        r"
        0 given: R bob
        10 tab1: join R as ann metadata=1
            tab1 < connected ann R
            tab1 < room R host= [bob ann1]
            bob < joined ann1 at 10
            tab1 = now
        20 tab2: join R as ann metadata=2
            tab2 < connected ann R
            tab2 < room R host= [bob ann2]
            tab2 = now
        30 tab2: say x
            bob tab1 < data ann x
            tab2 = now
        40 tab3: join R as ann
            tab3 < connected ann R
            tab3 < room R host= [bob ann]
            tab3 = now
        50 tab3: leave
            tab3 = now
        60 http: view R
            http = R host= [bob ann2]
        70 tab1: gone
        80 http: view R
            http = R host= [bob ann2]
        90 tab2: gone
            bob < left ann
        100 http: view R
            http = R host= [bob]
        ",
    );
}

#[test]
fn metadata_goes_back_to_the_newest_tab_that_is_left() {
    check(
        auto(),
        r"
        0 tab1: join R as ann metadata=1
            + R created
            tab1 < connected ann R
            tab1 < room R host= [ann1]
            tab1 = now
        1 tab2: join R as ann metadata=2
            tab2 < connected ann R
            tab2 < room R host= [ann2]
            tab2 = now
        2 bob: join R as bob metadata=7
            bob < connected bob R
            bob < room R host= [ann2 bob7]
            tab1 tab2 < joined bob7 at 2
            bob = now
        3 bob2: join R as bob metadata=8
            bob2 < connected bob R
            bob2 < room R host= [ann2 bob8]
            bob2 = now
        4 tab1: join R as ann metadata=11
            tab1 < connected ann R
            tab1 < room R host= [ann11 bob8]
            tab1 = now
        5 tab1: leave
            tab1 = now
        6 http: view R
            http = R host= [ann2 bob8]
        7 tab2: gone
            bob bob2 < left ann
        8 bob2: gone
        9 http: view R
            http = R host= [bob7]
        ",
    );
}

#[test]
fn joining_the_same_room_again_is_quiet() {
    check(
        auto(),
        r"
        1 given: R ann* bob
        2 ann: sync d
            bob < document d
            ann = now
        3 bob: join r as bob metadata=9
            bob < connected bob R
            bob < room R host=ann [ann* bob9]
            bob < document d
            bob = now
        4 ann: join R as ann
            ann < connected ann R
            ann < room R host=ann [ann bob9]
            ann < document d
            ann = now
        5 ann: sync e
            ann = Only the host can sync the document
        ",
    );
}

#[test]
fn joining_the_same_room_as_somebody_else_is_leaving_and_joining() {
    check(
        auto(),
        r"
        1 given: R ann bob
        2 ann: join R as eve
            bob < left ann
            ann < connected eve R
            ann < room R host= [bob eve]
            bob < joined eve at 2
            ann = now
        3 ann: join R as bob
            bob < left eve
            ann < connected bob R
            ann < room R host= [bob]
            ann = now
        ",
    );
}

#[test]
fn joining_another_room_leaves_the_old_one() {
    check(
        auto(),
        r"
        1 given: R ann bob
        2 bob: join S as bob
            + S created
            ann < left bob
            bob < connected bob S
            bob < room S host= [bob]
            bob = now
        3 ann: say x
            ann = now
        4 bob: gone
        ",
    );
}

#[test]
fn a_join_that_fails_leaves_the_connection_where_it_was() {
    check(
        RoomsConfig { peers_per_room_max: 2, ..memory() },
        r#"
        1 given: FULL host=h a b
        3 given: R host=h ann bob
        4 bob: join FULL as bob
            bob = Room is full
        5 bob: join NOWHERE as bob
            bob = Room not found
        6 bob: say "still here"
            ann < data bob "still here"
            bob = now
        7 b: join FULL as b
            b < connected b FULL
            b < room FULL host=h [a b]
            b = now
        8 b: join FULL as c
            a < left b
            b < connected c FULL
            b < room FULL host=h [a c]
            a < joined c at 8
            b = now
        "#,
    );
}

#[test]
fn an_unknown_room_is_made_if_it_may_be() {
    check(
        auto(),
        r"
        0 ann: join Own_Code-1 as ann host
            + Own_Code-1 created
            ann < connected ann Own_Code-1
            ann < room Own_Code-1 host=ann [ann*]
            ann = now
        1 bob: join not/a/code as bob
            bob = Room not found
        2 bob: join G as bob
            + G created
            bob < connected bob G
            bob < room G host= [bob]
            bob = now
        ",
    );
}

#[test]
fn asking_for_the_document_says_if_there_is_none() {
    check(
        auto(),
        r"
        0 given: R ann*
        1 ann: ask
            ann < document none
            ann = now
        2 ann: sync d
            ann = now
        3 ann: ask
            ann < document d
            ann = now
        ",
    );
}
