//! Deliveries between devices: who announced what, who may fetch from whom, and what was signed for becomes credit.
//!
//! A lease is granted only for an input of work that the consumer holds, so nobody can have himself paid for demand of his own
//! making, and only with the publisher's money held for all of it. Whatever goes wrong here, the consumer fetches from the
//! coordinator.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use protocol::credit::CreditKind;
use protocol::delivery::{
    AskDelivery, Deliverable, DeliveryLease, DeliveryOffer, DeliveryReceipt, PeerAddress, check_receipt,
};
use protocol::id::{BundleId, DeliveryId, DeviceId, Hash, JobId};
use protocol::sign::Signed;
use protocol::units::UnixMillis;
use protocol::wire::RefusalCode;
use protocol::work::WorkLease;
use rusqlite::Connection;

use super::work::known;
use super::{Coordinator, Failure, Office, Refused};
use crate::credit::LedgerError;
use crate::delivery;
use crate::store::deliveries::{self, Delivery};
use crate::store::{StoreError, ledger, work};

/// A consumer's record of a day counts.
const RECORD: Duration = Duration::from_secs(24 * 3600);

impl Coordinator {
    /// Takes in what a device would deliver, and its receipts. `caller` is the address that it calls from.
    pub(super) fn deliverable(
        &mut self,
        device: DeviceId,
        message: &Deliverable,
        receipts: &[Signed<DeliveryReceipt>],
        caller: IpAddr,
    ) -> Result<(), Failure> {
        let now = self.office.now();
        let Self { office, store, .. } = self;
        let sound = message.address.as_ref().is_none_or(PeerAddress::is_sound);
        if !sound
            || message.blobs.len() > Deliverable::MAX_BLOBS
            || receipts.len() > Deliverable::MAX_RECEIPTS
        {
            return Err(Refused::new(RefusalCode::Malformed, "the announcement passes its bounds").into());
        }
        let address = message.address.as_ref().map(|address| office.own_address(address, caller));
        store.write(|t| {
            office.check_fresh(t, device.as_bytes(), &message.nonce, message.sent_at, now)?;
            known(t, &device)?;
            deliveries::announce(t, &device, address.as_ref(), &message.blobs, now)?;
            for receipt in receipts {
                office.take_receipt(t, &device, receipt, now)?;
            }
            Ok(())
        })
    }

    /// From whom a device may fetch a blob that it needs for its work; without a lease from the coordinator.
    pub(super) fn ask_delivery(
        &mut self,
        device: DeviceId,
        message: &AskDelivery,
        origin: &[u8; 32],
    ) -> Result<DeliveryOffer, Failure> {
        let now = self.office.now();
        let Self { office, store, .. } = self;
        store.write(|t| {
            office.check_fresh(t, device.as_bytes(), &message.nonce, message.sent_at, now)?;
            known(t, &device)?;
            let granted = office.broker(t, device, &message.blob, origin, now)?;
            let lease = granted.map(|(lease, address)| {
                (office.key.sign(&office.network, lease).envelope().clone(), address)
            });
            Ok(DeliveryOffer { nonce: message.nonce, at: now, lease })
        })
    }

    /// Settles deliveries whose time for receipts is over.
    pub(super) fn settle_deliveries(&mut self) -> Result<(), Failure> {
        let now = self.office.now();
        let due = UnixMillis(now.0.saturating_sub(delivery::RECEIPTS_FOR.as_millis() as u64));
        if deliveries::overdue(self.store.read(), due)?.is_empty() {
            return Ok(());
        }
        let Self { office, store, .. } = self;
        store.write(|t| {
            for delivery in deliveries::overdue(t, due)? {
                office.settle_delivery(t, &delivery, delivery.signed_bytes, now)?;
            }
            Ok(())
        })
    }
}

impl Office {
    /// What of an announced address is passed on: the socket addresses at which the announcer itself is, so that nobody can
    /// have strangers called, and a relay that the profile names.
    fn own_address(&self, address: &PeerAddress, caller: IpAddr) -> PeerAddress {
        let caller = caller.to_canonical();
        let is_own = |direct: &&String| {
            direct.parse::<SocketAddr>().is_ok_and(|direct| direct.ip().to_canonical() == caller)
        };
        PeerAddress {
            relay: address.relay.clone().filter(|relay| self.profile.relays.contains(relay)),
            direct: address.direct.iter().filter(is_own).cloned().collect(),
        }
    }

    /// Grants a delivery, or finds the one that was granted already.
    fn broker(
        &self,
        t: &Connection,
        consumer: DeviceId,
        blob: &Hash,
        origin: &[u8; 32],
        now: UnixMillis,
    ) -> Result<Option<(DeliveryLease, PeerAddress)>, Failure> {
        let parameters = &self.profile.parameters;
        if parameters.delivery_price.is_zero() {
            return Ok(None);
        }
        if let Some(standing) = deliveries::standing(t, &consumer, blob, now)? {
            let address = deliveries::address(t, &standing.lease.provider)?;
            return Ok(address.map(|address| (standing.lease, address)));
        }
        let Some(blob_bytes) = self.blobs.size(blob)?.filter(|bytes| *bytes >= delivery::MIN_BYTES) else {
            return Ok(None);
        };
        // A publisher pays for bringing a blob to a device once. Otherwise two in league would carry the same one to and fro
        // until the deposit is gone.
        if deliveries::was_paid(t, &consumer, blob)? {
            return Ok(None);
        }
        let Some(job) = self.needs(t, &consumer, blob)? else { return Ok(None) };
        let since = UnixMillis(now.0.saturating_sub(RECORD.as_millis() as u64));
        let (open, short) = deliveries::record(t, &consumer, since)?;
        if open >= delivery::MAX_OPEN || short >= delivery::MAX_SHORT {
            return Ok(None);
        }
        let present = UnixMillis(now.0.saturating_sub(delivery::PRESENT_FOR.as_millis() as u64));
        let candidates = deliveries::candidates(t, blob, present)?;
        let drawn = delivery::draw(&candidates, &consumer, origin, self.profile.local, &self.random());
        let Some(provider) = drawn.and_then(|index| candidates.get(index)).map(|drawn| drawn.device) else {
            return Ok(None);
        };
        let Some(address) = deliveries::address(t, &provider)? else { return Ok(None) };
        let price = parameters.delivery_price;
        let reserved = delivery::cost(price, blob_bytes, parameters.fee_permille)?.gross()?;
        let row = work::job(t, &job)?.ok_or(StoreError::Corrupt("job"))?;
        let mut account = ledger::publisher(t, &row.publisher)?.ok_or(StoreError::Corrupt("publisher"))?;
        if account.free() < reserved {
            return Ok(None);
        }
        account.reserved = account.reserved.checked_add(reserved).ok_or(LedgerError::Overflow)?;
        ledger::set_publisher(t, &row.publisher, &account)?;
        ledger::set_escrow(t, &ledger::escrow(t)?.reserve(reserved)?)?;
        let lease = DeliveryLease {
            coordinator: self.key.coordinator(),
            delivery: DeliveryId(self.random()),
            provider,
            consumer,
            blob: *blob,
            blob_bytes,
            price,
            granted_at: now,
            expires_at: now.plus(delivery::LEASE_FOR),
        };
        deliveries::add(t, &lease, &job, reserved)?;
        Ok(Some((lease, address)))
    }

    /// The job of an open work lease of this device that has the blob among its inputs.
    fn needs(&self, t: &Connection, device: &DeviceId, blob: &Hash) -> Result<Option<JobId>, Failure> {
        for (lease, envelope) in work::open_leases(t, device)? {
            let signed: Signed<WorkLease> = self
                .lease_envelope(&envelope)?
                .verify(&self.network, self.key.coordinator().as_bytes())
                .map_err(|_| StoreError::Corrupt("lease"))?;
            let slices = &signed.message().slices;
            if slices.iter().any(|slice| slice.inputs.iter().any(|input| input.blob == *blob)) {
                return Ok(work::lease(t, &lease)?.map(|lease| lease.job));
            }
        }
        Ok(None)
    }

    /// Books a receipt that a provider shows. One that says nothing new, or nothing at all, is passed by: showing it
    /// twice is harmless, and the rest of the message is not lost for it.
    fn take_receipt(
        &self,
        t: &Connection,
        provider: &DeviceId,
        receipt: &Signed<DeliveryReceipt>,
        now: UnixMillis,
    ) -> Result<(), Failure> {
        let Some(delivery) = deliveries::delivery(t, &receipt.message().delivery)? else { return Ok(()) };
        if delivery.settled || delivery.lease.provider != *provider {
            return Ok(());
        }
        let bytes = delivery.lease.blob_bytes;
        match check_receipt(&delivery.lease, receipt, delivery.signed_bytes, bytes) {
            Ok(signed) => {
                deliveries::sign(t, receipt, signed)?;
                if signed == bytes {
                    self.settle_delivery(t, &delivery, signed, now)?;
                }
            }
            Err(error) => {
                tracing::warn!(provider = %provider.short(), error = &error as &dyn std::error::Error,
                    "a delivery receipt is passed by");
            }
        }
        Ok(())
    }

    /// Pays the provider for what was signed and gives the rest of what was held back to the publisher.
    fn settle_delivery(
        &self,
        t: &Connection,
        delivery: &Delivery,
        signed_bytes: u64,
        now: UnixMillis,
    ) -> Result<(), Failure> {
        let lease = &delivery.lease;
        let cost = delivery::cost(lease.price, signed_bytes, self.profile.parameters.fee_permille)?;
        let gross = cost.gross()?;
        let job = work::job(t, &delivery.job)?.ok_or(StoreError::Corrupt("job"))?;
        let mut account = ledger::publisher(t, &job.publisher)?.ok_or(StoreError::Corrupt("publisher"))?;
        let held = delivery.reserved;
        let short = |bucket, holds| LedgerError::Short { bucket, holds, wanted: held };
        let back = held.checked_sub(gross).ok_or(short("what a delivery holds", held))?;
        account.reserved =
            account.reserved.checked_sub(held).ok_or(short("reserves of the publisher", account.reserved))?;
        account.spent = account.spent.checked_add(gross).ok_or(LedgerError::Overflow)?;
        ledger::set_publisher(t, &job.publisher, &account)?;
        ledger::set_escrow(t, &ledger::escrow(t)?.release(back)?.credit(cost)?)?;
        let spent = job.spent.checked_add(gross).ok_or(LedgerError::Overflow)?;
        work::set_job(t, &job.job, job.state, &job.reason, job.reserved, spent)?;
        deliveries::settle(t, &lease.delivery)?;
        if cost.pay.is_zero() {
            return Ok(());
        }
        let (provider, bundle) = (lease.provider, BundleId([0; 32]));
        self.write_receipt(t, provider, CreditKind::Delivered, bundle, Some(&job), 0, cost, now)
    }
}
