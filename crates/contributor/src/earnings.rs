//! PURE: what was earned, what it cost in electricity, and whether work is worth it. Integers only.
//!
//! Paid is the sum of verified receipts. Electricity is shown where the power of the card and both prices are known,
//! and left out where any of them is not; it is never guessed. A day is a local day; the caller brings the date of each
//! instant. The engine calls it for the status and the earnings page.

use std::collections::BTreeMap;

use protocol::credit::CreditKind;
use protocol::local::{Earnings, EarningsDay, Money, Preferences, ReceiptView};
use protocol::receipt::Receipt;
use protocol::units::{BaseUnits, UnixMillis};
use protocol::wire::NoWork;

use crate::store::DayWork;

/// The token's unit and decimals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Unit, for example `EMBER`.
    pub unit: String,
    /// Decimals of the token.
    pub decimals: u8,
}

/// What electricity and a token are worth, where the owner said both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    electricity_milli_per_kwh: u32,
    token_milli: u32,
}

impl Prices {
    /// The prices in the preferences.
    pub fn of(preferences: &Preferences) -> Option<Self> {
        let token_milli = preferences.token_milli.filter(|&milli| milli > 0)?;
        Some(Self { electricity_milli_per_kwh: preferences.electricity_milli_per_kwh?, token_milli })
    }

    /// Cost of an energy in base units of the token, rounded up: 1 kWh is 3.6 * 10^9 mJ.
    fn cost(self, energy_millijoules: u64, decimals: u8) -> Option<u128> {
        let numerator = u128::from(energy_millijoules)
            .checked_mul(u128::from(self.electricity_milli_per_kwh))?
            .checked_mul(10_u128.checked_pow(decimals.into())?)?;
        Some(numerator.div_ceil(3_600_000_000 * u128::from(self.token_milli)))
    }
}

/// `units` in tokens: a decimal point and all digits.
pub fn decimal(units: u128, decimals: u8) -> String {
    let places = usize::from(decimals);
    if places == 0 {
        return units.to_string();
    }
    let digits = format!("{units:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    format!("{whole}.{fraction}")
}

fn signed(value: i128, decimals: u8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", decimal(value.unsigned_abs(), decimals))
}

/// Sum of receipts, revocations subtracted.
fn paid<'a>(receipts: impl IntoIterator<Item = &'a Receipt>) -> i128 {
    receipts.into_iter().fold(0_i128, |sum, receipt| sum.saturating_add(amount(receipt)))
}

fn amount(receipt: &Receipt) -> i128 {
    let amount = i128::try_from(receipt.amount.0).unwrap_or(i128::MAX);
    match receipt.kind {
        CreditKind::Revoked => -amount,
        CreditKind::Computed | CreditKind::Audited | CreditKind::Delivered | CreditKind::Held => amount,
    }
}

/// Paid, electricity and what remains of a span's receipts and work.
pub fn money<'a>(
    receipts: impl IntoIterator<Item = &'a Receipt>,
    work: &DayWork,
    prices: Option<Prices>,
    token: &Token,
) -> Money {
    let paid = paid(receipts);
    // Time without a known power has a cost that cannot be told; then none is told for the whole.
    let metered = work.metered_millis == work.shared_millis;
    let cost = prices
        .filter(|_| metered)
        .and_then(|prices| prices.cost(work.energy_millijoules, token.decimals))
        .and_then(|cost| i128::try_from(cost).ok());
    Money {
        unit: token.unit.clone(),
        paid: signed(paid, token.decimals),
        electricity: cost.map(|cost| signed(cost, token.decimals)),
        net: cost.map(|cost| signed(paid.saturating_sub(cost), token.decimals)),
    }
}

/// The earnings page from `from_at` on. `date_of` gives the local date (`2026-11-23`) of an instant.
pub fn page(
    receipts: &[&Receipt],
    days: &BTreeMap<String, DayWork>,
    from_at: UnixMillis,
    prices: Option<Prices>,
    token: &Token,
    no_work: Option<NoWork>,
    date_of: &dyn Fn(UnixMillis) -> String,
) -> Earnings {
    let from_date = date_of(from_at);
    let mut by_date: BTreeMap<String, Vec<&Receipt>> =
        days.keys().filter(|date| **date >= from_date).map(|date| (date.clone(), Vec::new())).collect();
    let in_span: Vec<&Receipt> = receipts.iter().copied().filter(|r| r.issued_at >= from_at).collect();
    for &receipt in &in_span {
        by_date.entry(date_of(receipt.issued_at)).or_default().push(receipt);
    }
    let mut all_work = DayWork::default();
    let mut shown: Vec<EarningsDay> = by_date
        .into_iter()
        .map(|(date, receipts)| {
            let work = days.get(&date).copied().unwrap_or_default();
            all_work = all_work.plus(work);
            let mut views: Vec<ReceiptView> = receipts.iter().map(|receipt| view(receipt, token)).collect();
            views.reverse();
            EarningsDay {
                date,
                shared_seconds: u32::try_from(work.shared_millis / 1000).unwrap_or(u32::MAX),
                money: money(receipts.iter().copied(), &work, prices, token),
                final_at: receipts.iter().map(|receipt| receipt.matures_at).max(),
                receipts: views,
            }
        })
        .collect();
    shown.reverse();
    Earnings { sum: money(in_span, &all_work, prices, token), days: shown, no_work }
}

fn view(receipt: &Receipt, token: &Token) -> ReceiptView {
    ReceiptView {
        sequence: receipt.sequence,
        issued_at: receipt.issued_at,
        matures_at: receipt.matures_at,
        kind: receipt.kind,
        title: receipt.title.clone(),
        slices: receipt.slices,
        amount: signed(amount(receipt), token.decimals),
    }
}

/// What an hour of a work costs and pays, in thousandths of the owner's currency: `(cost, pay)`. `None` where a figure
/// is missing.
pub fn hour(
    price_per_slice: BaseUnits,
    slice_millis: u64,
    watts: u32,
    prices: Option<Prices>,
    token: &Token,
) -> Option<(u32, u32)> {
    let prices = prices?;
    let cost = u64::from(watts) * u64::from(prices.electricity_milli_per_kwh) / 1000;
    let slices = 3_600_000_u128.checked_div(u128::from(slice_millis))?;
    let pay = price_per_slice.0.checked_mul(slices)?.checked_mul(u128::from(prices.token_milli))?
        / 10_u128.checked_pow(token.decimals.into())?;
    let small = |value: u128| u32::try_from(value).unwrap_or(u32::MAX);
    Some((small(cost.into()), small(pay)))
}

#[cfg(test)]
mod tests {
    use protocol::id::{BundleId, CoordinatorId, DeviceId, Hash, NetworkId};

    use super::*;

    fn receipt(sequence: u64, kind: CreditKind, amount: u128, issued_at: u64) -> Receipt {
        Receipt {
            network: NetworkId([0; 32]),
            coordinator: CoordinatorId([0; 32]),
            device: DeviceId([0; 32]),
            sequence,
            previous: Hash([0; 32]),
            kind,
            bundle: BundleId([0; 32]),
            slices: 64,
            amount: BaseUnits(amount),
            total: BaseUnits(0),
            issued_at: UnixMillis(issued_at),
            matures_at: UnixMillis(issued_at + 1000),
            title: "Signal search".to_owned(),
        }
    }

    const TOKEN_DECIMALS: u8 = 18;

    fn token() -> Token {
        Token { unit: "EMBER".to_owned(), decimals: TOKEN_DECIMALS }
    }

    /// 0.30 per kWh, a token is worth 0.50.
    const PRICES: Option<Prices> = Some(Prices { electricity_milli_per_kwh: 300, token_milli: 500 });

    #[test]
    fn all_digits_are_shown() {
        assert_eq!(decimal(1, 18), "0.000000000000000001");
        assert_eq!(decimal(12_500_000_000_000_000_000, 18), "12.500000000000000000");
        assert_eq!(decimal(7, 0), "7");
        assert_eq!(signed(-50, 2), "-0.50");
    }

    #[test]
    fn net_is_paid_less_electricity_to_the_last_digit() {
        let paid = receipt(1, CreditKind::Computed, 1_000_000_000_000_000_000, 5);
        // An hour at 100 W: 0.1 kWh, 0.03 of the currency, 0.06 tokens.
        let work = DayWork {
            shared_millis: 3_600_000,
            metered_millis: 3_600_000,
            energy_millijoules: 360_000_000,
            ..DayWork::default()
        };
        let money = money([&paid], &work, PRICES, &token());
        assert_eq!(money.paid, "1.000000000000000000");
        assert_eq!(money.electricity.as_deref(), Some("0.060000000000000000"));
        assert_eq!(money.net.as_deref(), Some("0.940000000000000000"));
    }

    #[test]
    fn electricity_is_left_out_where_a_figure_is_missing() {
        let paid = receipt(1, CreditKind::Computed, 5, 5);
        let half = DayWork { shared_millis: 2000, metered_millis: 1000, ..DayWork::default() };
        for (work, prices) in [(half, PRICES), (DayWork::default(), None)] {
            let money = money([&paid], &work, prices, &token());
            assert_eq!((money.electricity, money.net), (None, None), "a guess would look like a figure");
        }
    }

    #[test]
    fn a_page_groups_by_local_day_latest_first_and_subtracts_what_was_taken_back() {
        let receipts = [
            receipt(1, CreditKind::Computed, 50, 100),
            receipt(2, CreditKind::Computed, 20, 1100),
            receipt(3, CreditKind::Revoked, 30, 1200),
        ];
        let receipts: Vec<&Receipt> = receipts.iter().collect();
        let days = BTreeMap::from([("1".to_owned(), DayWork { shared_millis: 9000, ..DayWork::default() })]);
        let date_of = |at: UnixMillis| (at.0 / 1000).to_string();
        let page = page(&receipts, &days, UnixMillis(0), None, &token(), Some(NoWork::NoneOffered), &date_of);
        let dates: Vec<_> = page.days.iter().map(|d| (d.date.as_str(), d.shared_seconds)).collect();
        assert_eq!(dates, [("1", 9), ("0", 0)]);
        assert_eq!(page.sum.paid, "0.000000000000000040");
        assert_eq!(page.days[0].money.paid, "-0.000000000000000010");
        assert_eq!(page.days[0].receipts[0].sequence, 3, "latest first");
        assert_eq!(page.days[0].final_at, Some(UnixMillis(2200)));
        let later = super::page(&receipts, &days, UnixMillis(1150), None, &token(), None, &date_of);
        assert_eq!(later.sum.paid, "-0.000000000000000030");
    }

    #[test]
    fn an_hour_of_work_is_weighed_against_its_electricity() {
        let token = token();
        // A slice of 0.001 tokens every 2 s is 1.8 tokens an hour, worth 0.9; 200 W cost 0.06.
        let hour = |price, watts| hour(BaseUnits(price), 2000, watts, PRICES, &token);
        assert_eq!(hour(1_000_000_000_000_000, 200), Some((60, 900)));
        assert_eq!(hour(1_000_000_000_000, 200), Some((60, 0)), "this would be a loss");
        assert_eq!(super::hour(BaseUnits(1), 2000, 200, None, &token), None);
    }
}
