//! Other work is not paid: a device that hands in wrong outputs gets nothing, and the publisher gets the right result.

use std::sync::Arc;
use std::time::Duration;

use network::{Answer, MemoryJournal, Net, Purpose, Request};
use protocol::frames::Adapter;
use protocol::id::{CoordinatorId, Hash, NetworkId, Nonce};
use protocol::manifest::Program;
use protocol::profile::Profile;
use protocol::sign::{Envelope, Key, Message};
use protocol::units::UnixMillis;
use protocol::wire::{Accepted, Enroll, Enrolled, Heartbeat, HeartbeatAnswer};
use protocol::work::{Commit, WorkLease, WorkResult};
use world::World;
use zeroize::Zeroizing;

/// A device that follows the protocol to the letter and changes one bit of every output.
struct Cheat {
    net: Net,
    url: String,
    key: Key,
    network: NetworkId,
    coordinator: CoordinatorId,
    requests: u64,
}

impl Cheat {
    fn new(world: &World) -> Self {
        let bytes = std::fs::read(world.founded("profile")).expect("the profile");
        let envelope = Envelope::from_bytes::<Profile>(&bytes).expect("a profile");
        let (network, profile) =
            protocol::profile::accept(envelope, None, UnixMillis(0)).expect("a profile that can be joined");
        Self {
            net: Net::with_system_clock(Arc::new(MemoryJournal::default())),
            url: world.url().to_owned(),
            key: Key::from_seed(&Zeroizing::new([66; 32])),
            network,
            coordinator: profile.message().coordinators[0].id,
            requests: 0,
        }
    }

    fn nonce(&mut self) -> Nonce {
        self.requests += 1;
        Nonce(*Hash::of(&self.requests.to_le_bytes()).as_bytes())
    }

    async fn post<Q: Message, A: Message>(&self, path: &str, message: Q) -> A {
        let signed = self.key.sign(&self.network, message);
        let url = format!("{}/v1/{path}", self.url);
        let request = Request::post(Purpose::Coordinator, path, url, signed.envelope().to_bytes());
        let answer = self.net.request(request.max_answer_bytes(32 * 1024 * 1024)).await.expect("an answer");
        assert_eq!(answer.status, 200, "{path} is accepted: {:?}", answer.body);
        let envelope = Envelope::from_bytes::<A>(&answer.body).expect("an envelope");
        envelope
            .verify(&self.network, self.coordinator.as_bytes())
            .expect("the coordinator's signature")
            .into_message()
    }

    async fn blob(&self, hash: &Hash) -> Vec<u8> {
        let url = format!("{}/v1/blob/{hash}", self.url);
        let request =
            Request::get(Purpose::WorkInput, hash.to_string(), url).max_answer_bytes(64 * 1024 * 1024);
        let answer: Answer = self.net.request(request).await.expect("a blob");
        assert_eq!(answer.status, 200, "a leased blob is there");
        answer.body.to_vec()
    }

    async fn beat(&mut self, last_sequence: u64, wants_work: bool) -> HeartbeatAnswer {
        let message = Heartbeat {
            coordinator: self.coordinator,
            nonce: self.nonce(),
            sent_at: network::system_clock()(),
            holding: vec![],
            returned: vec![],
            wants_work,
            last_sequence,
        };
        self.post("heartbeat", message).await
    }

    /// Enrols, takes a lease, and hands in wrong outputs.
    async fn cheat(&mut self) {
        let enroll = Enroll {
            coordinator: self.coordinator,
            protocol: protocol::PROTOCOL_VERSION,
            nonce: self.nonce(),
            sent_at: network::system_clock()(),
            adapter: Adapter {
                name: "a card that is not there".into(),
                backend: "vulkan".into(),
                driver: "none".into(),
                vendor_id: 0,
                device_id: 0,
                software: true,
                max_binding_bytes: 0,
                memory_bytes: None,
                features: Vec::new(),
            },
            answers: None,
        };
        let _: Enrolled = self.post("enroll", enroll).await;
        let lease = loop {
            let answer = self.beat(0, true).await;
            if let Some(envelope) = answer.leases.into_iter().next() {
                let signed = envelope.verify::<WorkLease>(&self.network, self.coordinator.as_bytes());
                break signed.expect("a signed lease").into_message();
            }
            // The coordinator says when to ask again; even a cheat keeps to that, or it would be refused.
            tokio::time::sleep(Duration::from_millis(answer.next_in_millis.into())).await;
        };
        let envelope =
            Envelope::from_bytes::<Program>(&self.blob(&lease.program).await).expect("an envelope");
        let program =
            envelope.verify_any::<Program>(&self.network).expect("the publisher's signature").into_message();
        let mut outputs = Vec::new();
        for slice in &lease.slices {
            let input = self.blob(&slice.inputs[0].blob).await;
            let mut output = jobs::search::reference_for(&program, &input, &slice.params)
                .expect("a valid slice of the signal search");
            output[0] ^= 1;
            outputs.push((slice.slice, output));
        }
        let commit = Commit {
            coordinator: self.coordinator,
            lease: lease.lease,
            bundle: lease.bundle,
            digests: outputs.iter().map(|(slice, output)| (*slice, Hash::of(output))).collect(),
            device_millis: 1,
        };
        let _: Accepted = self.post("commit", commit).await;
        let result = WorkResult {
            coordinator: self.coordinator,
            lease: lease.lease,
            bundle: lease.bundle,
            outputs: outputs.into_iter().map(|(slice, output)| (slice, output.into())).collect(),
        };
        let _: Accepted = self.post("result", result).await;
    }
}

#[test]
fn a_device_that_hands_in_wrong_slices_is_not_paid_and_the_job_is_done_by_another() {
    let world = World::start();
    let (recording, tones) = world.recording(8_192, 21);
    let publication = world.publish(&recording);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut cheat = Cheat::new(&world);
    runtime.block_on(cheat.cheat());

    let _honest = world.contributor("honest");
    let answer = publication
        .lines()
        .wait(|line| line["hits"].is_array())
        .expect("the job is done by the honest device");
    assert_eq!(
        answer["hits"].as_array().map(Vec::len),
        tones["tones"].as_array().map(Vec::len),
        "the publisher gets the right result, not the cheat's"
    );
    let last = runtime.block_on(cheat.beat(0, false));
    assert!(last.receipts.is_empty(), "wrong work earns no receipt");
    let status = world.coordinator_status();
    assert_eq!(
        status["held_classes"][0]["described"], "vulkan 0000:0000 none",
        "the driver that it invented is held: {status}"
    );
    assert_eq!(status["receipts"], 1, "one bundle was accepted, and one receipt written for it: {status}");
    assert_eq!(status["books_agree"], true, "the ledger agrees with a recount");
}
