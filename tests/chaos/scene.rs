//! Everybody who is there in one life of the server, and what they do.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;

use crate::history::{Documents, Event, ROOMS, check};
use crate::member::{Conduct, Member, host_of};
use crate::pause;
use crate::support::{Deadline, Server};
use crate::vandal::Vandal;

const MEMBERS_MAX: usize = 40;
const VANDALS_MAX: usize = 20;
/// More than the rate allows, and so many that the connection may be closed for it.
const FLOOD: usize = 350;

/// See the module.
pub(crate) struct Scene {
    /// The first ones are the hosts of the rooms.
    members: Vec<Member>,
    vandals: Vec<Vandal>,
    /// Names of members are not used twice.
    came: usize,
}

impl Scene {
    /// Makes the rooms, or finds them as the last life left them, and lets their hosts in.
    pub(crate) fn open(server: &Server, documents: &mut Documents) -> Self {
        let mut members = Vec::new();
        for (room, code) in ROOMS.into_iter().enumerate() {
            let body = json!({ "desired_room_code": code, "desired_host_id": host_of(room) });
            let made = server.http("POST", "/api/rooms", &[], &body.to_string());
            assert!(matches!(made.status, 200 | 201), "{}", made.text());
            let mut host = Member::join(server, room, &host_of(room), false);
            let deadline = Deadline::start();
            // The document, if there is one, is the third answer; then comes that of its own.
            while !host.has_joined {
                host.listen(documents);
                assert!(!deadline.left().is_zero(), "the host cannot join");
                pause();
            }
            let stored = server.get(&format!("/api/rooms/{code}"));
            assert_eq!(stored.status, 200, "{}", stored.text());
            host.listen(documents);
            documents.check_stored(room, host.document);
            let number = documents.next(room);
            host.sync(number, 100);
            members.push(host);
        }
        Self { members, vandals: Vec::new(), came: 0 }
    }

    /// One of the things that happen.
    pub(crate) fn act(&mut self, server: &Server, documents: &mut Documents, random: &mut StdRng) {
        match random.random_range(0..100) {
            0..12 => self.come(server, random),
            12..60 => {
                let bytes = [10, 300, 3_000, 30_000][random.random_range(0..4)];
                let wants_ack = random.random();
                self.with_somebody(random, |member| member.say(bytes, wants_ack));
            }
            60..75 => {
                let room = random.random_range(0..ROOMS.len());
                let bytes = [10, 1_000, 40_000][random.random_range(0..3)];
                let number = documents.next(room);
                self.members[room].sync(number, bytes);
            }
            75..77 => self.with_somebody(random, Member::close),
            77..79 => self.with_somebody(random, Member::reset),
            79..80 => self.with_somebody(random, Member::finish),
            80..82 => self.with_somebody(random, |member| member.conduct = Conduct::Stalled),
            82..84 => self.wake_somebody(random),
            84..85 => self.with_somebody(random, |member| {
                member.conduct = Conduct::Bad;
                (0..FLOOD).for_each(|_| member.say(10, false));
            }),
            85..86 => self.with_somebody(random, Member::talk_nonsense),
            86..92 if self.vandals.len() < VANDALS_MAX => {
                self.vandals.push(Vandal::come(server, random));
            }
            86..96 => self.vandals.iter_mut().for_each(Vandal::drip),
            _ if !self.vandals.is_empty() => {
                let index = random.random_range(0..self.vandals.len());
                self.vandals.swap_remove(index).go(random);
            }
            _ => {}
        }
    }

    /// Everybody who reads does.
    pub(crate) fn listen(&mut self, documents: &mut Documents) {
        for member in &mut self.members {
            member.listen(documents);
            let is_lost = member.ended.is_some() && member.conduct == Conduct::Good;
            assert!(!is_lost, "{} lost its connection: {:?}", member.name, member.ended);
        }
    }

    /// The server is going, or gone: what is still on its way is heard.
    pub(crate) fn listen_to_the_end(&mut self, documents: &mut Documents) {
        let deadline = Deadline::start();
        self.vandals.clear();
        let wakes = |member: &&mut Member| member.conduct == Conduct::Stalled;
        self.members.iter_mut().filter(wakes).for_each(|member| member.conduct = Conduct::Bad);
        while self.members.iter().any(|member| member.ended.is_none()) {
            self.members.iter_mut().for_each(|member| member.listen(documents));
            assert!(!deadline.left().is_zero(), "a connection does not end");
            pause();
        }
    }

    /// Whoever was well-behaved was told that the server goes.
    pub(crate) fn check_goodbyes(&self) {
        for member in &self.members {
            let is_told = member.ended == Some(1001) || member.conduct != Conduct::Good;
            assert!(is_told, "{}: {:?}", member.name, member.ended);
        }
    }

    /// A last word in each room: everybody who is there hears it, and so everything before it.
    pub(crate) fn hear_everything(&mut self, server: &Server, documents: &mut Documents) {
        for room in 0..ROOMS.len() {
            let name = self.name("last");
            let mut last = Member::join(server, room, &name, false);
            let deadline = Deadline::start();
            while !last.has_joined {
                last.listen(documents);
                self.listen(documents);
                assert!(!deadline.left().is_zero(), "{name} cannot join");
                pause();
            }
            last.say(1, false);
            self.members.push(last);
            let word = Event::Said(name, 1);
            let listeners = |member: &&Member| {
                member.room == room && member.conduct == Conduct::Good && member.ended.is_none()
            };
            while self.members.iter().filter(listeners).any(|member| {
                !(member.heard.contains(&word)
                    || matches!(&word, Event::Said(n, _) if *n == member.name))
            }) {
                self.listen(documents);
                assert!(!deadline.left().is_zero(), "somebody does not hear {word:?}");
                pause();
            }
        }
    }

    /// Everybody goes.
    pub(crate) fn send_away(&mut self) {
        self.vandals.clear();
        self.members.iter_mut().for_each(Member::reset);
    }

    /// Holds what everybody heard to what the hosts heard; how much that was. `hosts_stayed` until
    /// everybody had heard everything.
    pub(crate) fn check_histories(self, hosts_stayed: bool) -> usize {
        let (hosts, others) = self.members.split_at(ROOMS.len());
        for member in others {
            let host = &hosts[member.room];
            let result = check(&member.name, &member.heard, &host.heard, !hosts_stayed);
            if let Err(problem) = result {
                panic!("{} in room {}: {problem}", member.name, member.room);
            }
            for number in member.acknowledged.iter().filter(|_| hosts_stayed) {
                let said = Event::Said(member.name.clone(), *number);
                assert!(host.heard.contains(&said), "{said:?} was acknowledged, but not said");
            }
        }
        self.members.iter().map(|member| member.heard.len()).sum()
    }

    fn come(&mut self, server: &Server, random: &mut StdRng) {
        let there = self.members.iter().filter(|member| member.ended.is_none()).count();
        if there < MEMBERS_MAX {
            let name = self.name("member");
            let (room, is_sleepy) = (random.random_range(0..ROOMS.len()), random.random());
            self.members.push(Member::join(server, room, &name, is_sleepy));
        }
    }

    fn name(&mut self, kind: &str) -> String {
        self.came += 1;
        format!("{kind}-{}", self.came)
    }

    /// Somebody does something who is in a room, well-behaved, and no host.
    fn with_somebody(&mut self, random: &mut StdRng, act: impl FnOnce(&mut Member)) {
        let others = self.members.iter_mut().skip(ROOMS.len());
        let mut able: Vec<&mut Member> = others.filter(|member| member.is_able()).collect();
        if !able.is_empty() {
            let index = random.random_range(0..able.len());
            act(able[index]);
        }
    }

    /// Somebody who has stalled reads again. It may have been closed meanwhile.
    fn wake_somebody(&mut self, random: &mut StdRng) {
        let stalled = |member: &&mut Member| member.conduct == Conduct::Stalled;
        let mut stalled: Vec<&mut Member> = self.members.iter_mut().filter(stalled).collect();
        if !stalled.is_empty() {
            let index = random.random_range(0..stalled.len());
            stalled[index].conduct = Conduct::Bad;
        }
    }
}
