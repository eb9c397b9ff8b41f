// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Distributor} from "../src/Distributor.sol";
import {Fixture} from "./Fixture.sol";

/// What anyone can do with a distributor, honest or not, in any order. The books that it keeps beside the contract's own
/// are what the invariants compare.
contract World is Fixture {
    uint256 public deposits;
    uint256 public refunds;
    /// Every token that left the distributor for a contributor's account, by account.
    mapping(uint256 index => uint256 amount) public received;
    /// The most that any active root has promised to an account.
    mapping(uint256 index => uint256 amount) public promised;
    /// Set when something happened that never may.
    string public violation;

    uint256[] private cumulative;
    uint256[] private pendingAmounts;
    uint256[][] private history;
    uint256 private nextNonce;

    struct Order {
        Distributor.Withdraw w;
        bytes signature;
        uint256 index;
    }

    Order[] private done;

    /// How often each deed succeeded, so that a run that did nothing cannot pass for a proof.
    mapping(bytes32 deed => uint256 count) public deeds;

    constructor() {
        build();
        cumulative = amounts4(0, 0, 0, 0);
        deposit(publishers[0], 5000 ether);
        deposits = 5000 ether;
    }

    function contractUnderTest() external view returns (Distributor) {
        return distributor;
    }

    function balance() external view returns (uint256) {
        return token.balanceOf(address(distributor));
    }

    function pay(uint256 who, uint256 amount) external {
        address publisher = publishers[who % 3];
        amount = amount % 5000 ether + 1;
        if (token.balanceOf(publisher) < amount) return;
        deposit(publisher, amount);
        deposits += amount;
        ++deeds["deposit"];
    }

    /// Work is done: some publisher spends, some accounts earn, the poster proposes.
    function closeEpoch(uint256 who, uint256 growth, uint256 split) external {
        if (distributor.pending().root != 0) return;
        address publisher = publishers[who % 3];
        Distributor.Publisher memory p = distributor.publisherOf(publisher);
        uint256 unspent = uint256(p.deposited) - p.refunded - p.spent;
        growth = growth % (unspent + 1);
        if (growth > CAP) growth = CAP;
        uint256[] memory next = new uint256[](4);
        uint256 first = growth * (split % 101) / 100;
        for (uint256 i = 0; i < 4; ++i) next[i] = cumulative[i];
        next[split % 4] += first;
        next[(split / 7) % 4] += growth - first;
        // A tree without any earnings would have the same leaves as another one; that is fine, but says nothing.
        if (growth == 0) return;
        uint256 epoch = uint256(distributor.activeEpoch()) + 1;
        vm.prank(poster);
        distributor.propose(epoch, rootOf(next), sum(next), bytes32(epoch), spend(publisher, p.spent + growth));
        pendingAmounts = next;
        ++deeds["propose"];
    }

    function activate() external {
        Distributor.Pending memory next = distributor.pending();
        if (next.root == 0) return;
        if (block.timestamp < next.activeAt) {
            try distributor.activate() {
                violation = "activated before the challenge delay was over";
            } catch {}
            vm.warp(next.activeAt);
        }
        distributor.activate();
        cumulative = pendingAmounts;
        history.push(pendingAmounts);
        for (uint256 i = 0; i < 4; ++i) {
            if (cumulative[i] > promised[i]) promised[i] = cumulative[i];
        }
        ++deeds["activate"];
    }

    function veto() external {
        if (distributor.pending().root == 0) return;
        vm.prank(guardian);
        distributor.veto();
        ++deeds["veto"];
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % (2 * DELAY));
    }

    /// Anyone claims for an account, with the latest tree or an older one.
    function claim(uint256 who, uint256 age) external {
        if (history.length == 0) return;
        uint256 i = who % 4;
        uint256 back = age % history.length;
        uint256[] memory tree = history[history.length - 1 - back];
        bytes32 root = rootOf(tree);
        uint256 before = token.balanceOf(accounts[i]);
        uint256 had = distributor.claimed(accounts[i]);
        try distributor.claim(accounts[i], tree[i], proofOf(tree, i)) {
            if (!distributor.isActive(root)) violation = "a root that is not active was paid";
            if (distributor.claimed(accounts[i]) != tree[i]) violation = "a claim paid less than the account was due";
            ++deeds["claim"];
        } catch {
            if (distributor.isActive(root) && tree[i] > had) violation = "a claim that was due was refused";
        }
        received[i] += token.balanceOf(accounts[i]) - before;
    }

    /// The owner withdraws part of what is due, through a relayer.
    function withdraw(uint256 who, uint256 amount, uint256 fee, bool named) external {
        if (history.length == 0) return;
        uint256 i = who % 4;
        uint256 due = cumulative[i] - distributor.claimed(accounts[i]);
        if (due == 0) return;
        amount = amount % (due + 1);
        fee = fee % (due - amount + 1);
        if (amount + fee == 0) return;
        Distributor.Withdraw memory w = order(i, amount, fee, outside, named ? relayer : address(0), nextNonce++);
        bytes memory signature = signed(w, keys[i]);
        uint256 to = token.balanceOf(outside);
        address payee = named ? relayer : stranger;
        uint256 fees = token.balanceOf(payee);
        vm.prank(stranger);
        distributor.claimTo(w, cumulative[i], proofOf(cumulative, i), signature);
        if (token.balanceOf(outside) - to != amount) violation = "the recipient did not get the exact amount";
        if (token.balanceOf(payee) - fees != fee) violation = "the relayer did not get the exact fee";
        received[i] += amount + fee;
        done.push(Order(w, signature, i));
        ++deeds["withdraw"];
    }

    /// The owner sends out of what is due and what lies in the wallet together, whoever claimed before.
    function sendAll(uint256 who, uint256 amount, uint256 fee) external {
        if (history.length == 0) return;
        uint256 i = who % 4;
        uint256 due = cumulative[i] - distributor.claimed(accounts[i]);
        uint256 have = due + token.balanceOf(accounts[i]);
        if (have == 0) return;
        amount = amount % (have + 1);
        fee = fee % (have - amount + 1);
        if (amount + fee == 0) return;
        Distributor.Withdraw memory w = order(i, amount, fee, outside, relayer, nextNonce++);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(keys[i], receiveDigest(w.account, amount + fee, w.deadline, distributor.withdrawDigest(w)));
        uint256 to = token.balanceOf(outside);
        uint256 fees = token.balanceOf(relayer);
        distributor.claimAndSendTo(w, cumulative[i], proofOf(cumulative, i), v, r, s);
        if (token.balanceOf(outside) - to != amount) violation = "the recipient did not get the exact amount";
        if (token.balanceOf(relayer) - fees != fee) violation = "the relayer did not get the exact fee";
        if (token.balanceOf(accounts[i]) != have - amount - fee) violation = "the account lost more than it ordered";
        received[i] += due;
        done.push(Order(w, signed(w, keys[i]), i));
        ++deeds["send"];
    }

    /// A thief: replays an order, redirects one, or signs with a key that is not the account's.
    function steal(uint256 which, uint256 how, uint256 key) external {
        if (done.length == 0) return;
        Order memory o = done[which % done.length];
        how %= 3;
        if (how == 1) {
            o.w.nonce = nextNonce;
            o.w.to = stranger;
        }
        if (how == 2) {
            key = key % 1e30 + 1;
            if (key == keys[o.index]) return;
            o.w.nonce = nextNonce;
            o.w.deadline = block.timestamp + 1;
            o.signature = signed(o.w, key);
        }
        try distributor.claimTo(o.w, cumulative[o.index], proofOf(cumulative, o.index), o.signature) {
            violation = "an order was carried out that its owner did not give, or twice";
        } catch {
            ++deeds["refused theft"];
        }
    }

    /// A poster whose key was stolen asks for more than the cap or than was spent.
    function overreach(uint256 beyond) external {
        if (distributor.pending().root != 0) return;
        uint256 spare = uint256(distributor.totalSpent()) - distributor.total();
        uint256 most = spare < CAP ? spare : CAP;
        uint256 wanted = uint256(distributor.total()) + most + beyond % 1e24 + 1;
        uint256 epoch = uint256(distributor.activeEpoch()) + 1;
        vm.prank(poster);
        try distributor.propose(epoch, bytes32("thief"), wanted, 0, none()) {
            violation = "a total beyond the cap or the spend was accepted";
        } catch {
            ++deeds["refused overreach"];
        }
    }

    function refundWithConsent(uint256 who, uint256 amount) external {
        address publisher = publishers[who % 3];
        Distributor.Publisher memory p = distributor.publisherOf(publisher);
        uint256 unspent = uint256(p.deposited) - p.refunded - p.spent;
        amount = amount % (unspent + 1);
        if (amount == 0) return;
        uint256 upTo = p.refunded + amount;
        bytes memory signature = sign(posterKey, refundDigest(publisher, upTo, p.spent, block.timestamp));
        distributor.refund(publisher, upTo, p.spent, block.timestamp, signature);
        refunds += amount;
        ++deeds["refund"];
    }

    function requestRefund(uint256 who, uint256 amount) external {
        address publisher = publishers[who % 3];
        Distributor.Publisher memory p = distributor.publisherOf(publisher);
        vm.prank(publisher);
        distributor.requestRefund(amount % (uint256(p.deposited) - p.refunded - p.spent + 1));
    }

    function finishRefund(uint256 who) external {
        address publisher = publishers[who % 3];
        Distributor.Publisher memory p = distributor.publisherOf(publisher);
        uint256 before = token.balanceOf(publisher);
        vm.prank(publisher);
        try distributor.finishRefund() {
            if (block.timestamp < p.refundableAt) violation = "a refund without consent came early";
            ++deeds["refund"];
        } catch {}
        refunds += token.balanceOf(publisher) - before;
    }

    /// The guardian revokes a root now and then; the next epoch pays everyone in full again.
    function revoke(uint256 which) external {
        if (history.length < 2) return;
        bytes32 root = rootOf(history[which % (history.length - 1)]);
        if (distributor.epochOf(root) == 0 || root == rootOf(cumulative)) return;
        vm.prank(guardian);
        distributor.revoke(root);
        ++deeds["revoke"];
    }
}

contract InvariantTest {
    World private world;
    Distributor private distributor;

    function setUp() public {
        world = new World();
        distributor = world.contractUnderTest();
    }

    /// Read by forge: only the world acts.
    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(world);
    }

    function invariant_paid_total_spent_and_funds_stay_in_order() public view {
        uint256 funds = world.deposits() - world.refunds();
        require(distributor.paid() <= distributor.total(), "paid exceeds total");
        require(distributor.total() <= distributor.totalSpent(), "total exceeds spend");
        require(distributor.totalSpent() <= funds, "spend exceeds funds");
        require(distributor.pending().total <= distributor.totalSpent(), "pending total exceeds spend");
    }

    function invariant_every_token_is_accounted_for() public view {
        uint256 paid;
        for (uint256 i = 0; i < 4; ++i) paid += world.received(i);
        require(distributor.paid() == paid, "paid is not what accounts received");
        require(world.balance() == world.deposits() - world.refunds() - paid, "balance is not deposits less payments");
    }

    function invariant_no_account_receives_more_than_an_active_root_promised() public view {
        for (uint256 i = 0; i < 4; ++i) {
            require(world.received(i) <= world.promised(i), "an account received more than it earned");
        }
    }

    function invariant_nothing_forbidden_ever_happens() public view {
        require(bytes(world.violation()).length == 0, world.violation());
    }

    /// A run of invariants in which nothing happened would prove nothing: this walks the world once by hand.
    function test_the_world_really_acts() public {
        world.pay(1, 3000 ether);
        world.closeEpoch(0, 2000 ether, 33);
        world.activate();
        world.claim(0, 0);
        world.withdraw(1, 7 ether, 1 ether, true);
        world.withdraw(1, 7 ether, 1 ether, false);
        world.sendAll(1, 3 ether, 1 ether);
        world.steal(0, 0, 0);
        world.overreach(0);
        world.refundWithConsent(1, 10 ether);
        world.closeEpoch(1, 100 ether, 50);
        world.veto();
        require(world.deeds("propose") == 2 && world.deeds("activate") == 1, "epochs");
        require(world.deeds("send") == 1, "orders out of wallet and distributor");
        require(world.deeds("withdraw") >= 1 && world.deeds("refused theft") == 1, "withdrawals");
        require(world.deeds("refused overreach") == 1 && world.deeds("refund") == 1, "refusals and refunds");
        require(world.deeds("veto") == 1, "veto");
        require(bytes(world.violation()).length == 0, world.violation());
    }
}
