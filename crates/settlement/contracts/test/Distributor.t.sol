// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Distributor} from "../src/Distributor.sol";
import {Fixture} from "./Fixture.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

contract DistributorTest is Fixture {
    function setUp() public {
        build();
        deposit(publishers[0], 1000 ether);
        vm.prank(poster);
        distributor.attestSpend(spend(publishers[0], 600 ether));
    }

    // -------------------------------------------------------------------------------------------- epochs

    function test_a_root_is_claimable_only_after_the_challenge_delay() public {
        uint256[] memory a = amounts4(10 ether, 20 ether, 30 ether, 40 ether);
        propose(a);
        vm.warp(block.timestamp + DELAY - 1);
        bytes32[] memory proof = proofOf(a, 1);
        vm.expectRevert(abi.encodeWithSelector(Distributor.TooEarly.selector, block.timestamp + 1));
        distributor.activate();
        vm.expectRevert(abi.encodeWithSelector(Distributor.TooEarly.selector, block.timestamp + 1));
        distributor.claim(accounts[1], 20 ether, proof);
        vm.warp(block.timestamp + 1);
        // The claim activates the root by itself.
        vm.prank(stranger);
        distributor.claim(accounts[1], 20 ether, proof);
        assertEq(token.balanceOf(accounts[1]), 20 ether, "the account is paid, not the one who submits");
        assertEq(distributor.activeEpoch(), 1, "epoch");
    }

    function test_a_vetoed_root_never_becomes_claimable_and_its_number_is_used_again() public {
        uint256[] memory bad = amounts4(600 ether, 0, 0, 0);
        propose(bad);
        vm.prank(stranger);
        vm.expectRevert(Distributor.NotGuardian.selector);
        distributor.veto();
        vm.prank(guardian);
        distributor.veto();
        vm.warp(block.timestamp + 2 * DELAY);
        vm.expectRevert(Distributor.NothingPending.selector);
        distributor.activate();
        bytes32[] memory proof = proofOf(bad, 0);
        vm.expectRevert(abi.encodeWithSelector(Distributor.UnknownRoot.selector, rootOf(bad)));
        distributor.claim(accounts[0], 600 ether, proof);
        uint256[] memory good = amounts4(1 ether, 2 ether, 3 ether, 4 ether);
        settle(good);
        assertEq(distributor.activeEpoch(), 1, "the number of the vetoed epoch");
    }

    function test_only_the_poster_proposes_one_root_at_a_time_in_order() public {
        uint256[] memory a = amounts4(1 ether, 0, 0, 0);
        bytes32 root = rootOf(a);
        vm.expectRevert(Distributor.NotPoster.selector);
        distributor.propose(1, root, 1 ether, 0, none());
        vm.startPrank(poster);
        vm.expectRevert(abi.encodeWithSelector(Distributor.WrongEpoch.selector, 1));
        distributor.propose(2, root, 1 ether, 0, none());
        vm.expectRevert(Distributor.BadParameter.selector);
        distributor.propose(1, 0, 1 ether, 0, none());
        distributor.propose(1, root, 1 ether, 0, none());
        vm.expectRevert(Distributor.AlreadyPending.selector);
        distributor.propose(1, root, 1 ether, 0, none());
        vm.stopPrank();
    }

    function test_growth_is_capped_and_backed_by_attested_spend() public {
        vm.startPrank(poster);
        vm.expectRevert(abi.encodeWithSelector(Distributor.NotFunded.selector, 601 ether, 600 ether));
        distributor.propose(1, bytes32("root"), 601 ether, 0, none());
        vm.expectRevert(abi.encodeWithSelector(Distributor.ExceedsEpochCap.selector, CAP + 1, CAP));
        distributor.propose(1, bytes32("root"), CAP + 1, 0, none());
        // One transaction attests the spend and proposes the tree that it pays for.
        distributor.propose(1, bytes32("root"), 1000 ether, 0, spend(publishers[0], 1000 ether));
        vm.stopPrank();
        vm.warp(block.timestamp + DELAY);
        distributor.activate();
        vm.prank(poster);
        vm.expectRevert(Distributor.TotalDecreased.selector);
        distributor.propose(2, bytes32("next"), 999 ether, 0, none());
    }

    function test_the_last_roots_stay_valid_and_older_ones_do_not() public {
        uint256[] memory first = amounts4(10 ether, 10 ether, 10 ether, 10 ether);
        bytes32[] memory proof = proofOf(first, 0);
        settle(first);
        settle(amounts4(11 ether, 10 ether, 10 ether, 10 ether));
        settle(amounts4(12 ether, 10 ether, 10 ether, 10 ether));
        distributor.claim(accounts[0], 10 ether, proof);
        assertEq(token.balanceOf(accounts[0]), 10 ether, "an older root pays what it says");
        settle(amounts4(13 ether, 10 ether, 10 ether, 10 ether));
        bytes32[] memory second = proofOf(first, 1);
        vm.expectRevert(abi.encodeWithSelector(Distributor.UnknownRoot.selector, rootOf(first)));
        distributor.claim(accounts[1], 10 ether, second);
    }

    function test_a_revoked_root_pays_nothing() public {
        uint256[] memory a = amounts4(10 ether, 10 ether, 0, 0);
        settle(a);
        vm.prank(guardian);
        distributor.revoke(rootOf(a));
        bytes32[] memory proof = proofOf(a, 0);
        vm.expectRevert(abi.encodeWithSelector(Distributor.UnknownRoot.selector, rootOf(a)));
        distributor.claim(accounts[0], 10 ether, proof);
    }

    function test_a_pause_stops_payment_but_not_a_publishers_refund() public {
        uint256[] memory a = amounts4(10 ether, 10 ether, 0, 0);
        settle(a);
        vm.prank(guardian);
        distributor.pause();
        bytes32[] memory proof = proofOf(a, 0);
        vm.expectRevert(Distributor.IsPaused.selector);
        distributor.claim(accounts[0], 10 ether, proof);
        vm.prank(poster);
        vm.expectRevert(Distributor.IsPaused.selector);
        distributor.propose(2, bytes32("root"), 30 ether, 0, none());
        vm.startPrank(publishers[0]);
        distributor.requestRefund(400 ether);
        vm.warp(block.timestamp + REFUND_DELAY);
        uint256 before = token.balanceOf(publishers[0]);
        distributor.finishRefund();
        vm.stopPrank();
        assertEq(token.balanceOf(publishers[0]) - before, 400 ether, "unspent deposit");
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, guardian));
        distributor.unpause();
        vm.prank(admin);
        distributor.unpause();
        distributor.claim(accounts[0], 10 ether, proof);
    }

    function test_everything_that_moves_earnings_stops_in_a_pause() public {
        uint256[] memory a = amounts4(10 ether, 10 ether, 0, 0);
        settle(a);
        token.transfer(accounts[0], 10 ether);
        propose(amounts4(10 ether, 10 ether, 1 ether, 0));
        vm.warp(block.timestamp + DELAY);
        Distributor.Withdraw memory w = order(0, 5 ether, 1 ether, outside, relayer, 0);
        bytes memory signature = signed(w, keys[0]);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(keys[0], receiveDigest(w.account, 6 ether, w.deadline, distributor.withdrawDigest(w)));
        bytes32[] memory proof = proofOf(a, 0);
        Distributor.Claim[] memory claims = new Distributor.Claim[](1);
        claims[0] = Distributor.Claim(accounts[0], 10 ether, proof);
        vm.prank(guardian);
        distributor.pause();
        vm.expectRevert(Distributor.IsPaused.selector);
        distributor.claimMany(claims);
        vm.expectRevert(Distributor.IsPaused.selector);
        distributor.claimTo(w, 10 ether, proof, signature);
        vm.expectRevert(Distributor.IsPaused.selector);
        distributor.sendTo(w, v, r, s);
        vm.expectRevert(Distributor.IsPaused.selector);
        distributor.claimAndSendTo(w, 10 ether, proof, v, r, s);
        vm.expectRevert(Distributor.IsPaused.selector);
        distributor.activate();
        // A veto and a revocation are what a pause is for.
        vm.startPrank(guardian);
        distributor.veto();
        distributor.revoke(rootOf(a));
        vm.stopPrank();
    }

    function test_a_tree_that_promises_more_than_its_total_pays_no_more_than_that() public {
        uint256[] memory a = amounts4(60 ether, 60 ether, 0, 0);
        bytes32 root = rootOf(a);
        vm.prank(poster);
        distributor.propose(1, root, 100 ether, bytes32("manifest"), none());
        vm.warp(block.timestamp + DELAY);
        distributor.activate();
        distributor.claim(accounts[0], 60 ether, proofOf(a, 0));
        bytes32[] memory proof = proofOf(a, 1);
        vm.expectRevert(Distributor.ExceedsTotal.selector);
        distributor.claim(accounts[1], 60 ether, proof);
        Distributor.Withdraw memory w = order(1, 40 ether, 0, outside, relayer, 0);
        distributor.claimTo(w, 60 ether, proof, signed(w, keys[1]));
        assertEq(distributor.paid(), 100 ether, "all that was authorised");
    }

    // -------------------------------------------------------------------------------------------- claims

    function test_a_missed_epoch_pays_in_full_and_a_second_claim_nothing() public {
        settle(amounts4(10 ether, 10 ether, 10 ether, 10 ether));
        uint256[] memory second = amounts4(25 ether, 10 ether, 10 ether, 10 ether);
        settle(second);
        bytes32[] memory proof = proofOf(second, 0);
        distributor.claim(accounts[0], 25 ether, proof);
        assertEq(token.balanceOf(accounts[0]), 25 ether, "both epochs");
        vm.expectRevert(Distributor.NothingToPay.selector);
        distributor.claim(accounts[0], 25 ether, proof);
    }

    function test_a_wrong_amount_account_or_proof_is_refused(uint256 wrong) public {
        uint256[] memory a = amounts4(10 ether, 20 ether, 30 ether, 40 ether);
        vm.assume(wrong != 10 ether);
        settle(a);
        bytes32[] memory proof = proofOf(a, 0);
        (bool ok,) = address(distributor).call(abi.encodeCall(distributor.claim, (accounts[0], wrong, proof)));
        assertTrue(!ok, "another amount has been paid");
        (ok,) = address(distributor).call(abi.encodeCall(distributor.claim, (stranger, 10 ether, proof)));
        assertTrue(!ok, "another account has been paid");
        proof[0] = bytes32(uint256(proof[0]) ^ 1);
        (ok,) = address(distributor).call(abi.encodeCall(distributor.claim, (accounts[0], 10 ether, proof)));
        assertTrue(!ok, "another proof has been taken");
    }

    function test_many_claims_pass_over_an_account_that_was_paid_meanwhile() public {
        uint256[] memory a = amounts4(10 ether, 20 ether, 30 ether, 40 ether);
        settle(a);
        distributor.claim(accounts[1], 20 ether, proofOf(a, 1));
        Distributor.Claim[] memory claims = new Distributor.Claim[](4);
        for (uint256 i = 0; i < 4; ++i) claims[i] = Distributor.Claim(accounts[i], a[i], proofOf(a, i));
        distributor.claimMany(claims);
        for (uint256 i = 0; i < 4; ++i) assertEq(token.balanceOf(accounts[i]), a[i], "paid once");
        assertEq(distributor.paid(), 100 ether, "paid");
    }

    // -------------------------------------------------------------------------------------------- withdrawals

    function test_a_withdrawal_pays_exactly_amount_and_fee(uint96 amount, uint96 fee, bool named) public {
        uint256[] memory a = amounts4(300 ether, 200 ether, 0, 0);
        settle(a);
        uint256 amountIn = uint256(amount) % 250 ether;
        uint256 feeIn = uint256(fee) % 50 ether + 1;
        Distributor.Withdraw memory w = order(0, amountIn, feeIn, outside, named ? relayer : address(0), 7);
        bytes memory signature = signed(w, keys[0]);
        bytes32[] memory proof = proofOf(a, 0);
        vm.prank(stranger);
        distributor.claimTo(w, 300 ether, proof, signature);
        assertEq(token.balanceOf(outside), amountIn, "the recipient gets the amount");
        assertEq(token.balanceOf(named ? relayer : stranger), feeIn, "the relayer gets the fee");
        assertEq(token.balanceOf(accounts[0]), 0, "nothing goes to the account");
        assertEq(distributor.claimed(accounts[0]), amountIn + feeIn, "the claimable falls by both");
        assertTrue(distributor.nonceUsed(accounts[0], 7), "the nonce is used");
        vm.expectRevert(Distributor.NonceUsed.selector);
        distributor.claimTo(w, 300 ether, proof, signature);
        // What is left can still be claimed, and no more.
        distributor.claim(accounts[0], 300 ether, proof);
        assertEq(token.balanceOf(accounts[0]), 300 ether - amountIn - feeIn, "the rest");
    }

    function test_nobody_changes_an_order(uint8 field, uint256 value) public {
        uint256[] memory a = amounts4(300 ether, 200 ether, 0, 0);
        settle(a);
        Distributor.Withdraw memory w = order(0, 10 ether, 1 ether, outside, relayer, 7);
        bytes memory signature = signed(w, keys[0]);
        bytes32 before = distributor.withdrawDigest(w);
        field %= 6;
        if (field == 0) w.to = address(uint160(value));
        if (field == 1) w.amount = value;
        if (field == 2) w.fee = value;
        if (field == 3) w.relayer = address(uint160(value));
        if (field == 4) w.nonce = value;
        if (field == 5) w.deadline = value;
        vm.assume(distributor.withdrawDigest(w) != before);
        bytes32[] memory proof = proofOf(a, 0);
        (bool ok,) =
            address(distributor).call(abi.encodeCall(distributor.claimTo, (w, 300 ether, proof, signature)));
        assertTrue(!ok, "a changed order has been carried out");
        assertEq(distributor.paid(), 0, "paid");
    }

    function test_only_the_accounts_own_key_signs_its_order(uint256 key) public {
        uint256[] memory a = amounts4(300 ether, 200 ether, 0, 0);
        settle(a);
        key = key % 1e30 + 1;
        vm.assume(key != keys[0]);
        Distributor.Withdraw memory w = order(0, 10 ether, 1 ether, outside, relayer, 7);
        bytes memory signature = signed(w, key);
        bytes32[] memory proof = proofOf(a, 0);
        vm.expectRevert(Distributor.WrongSigner.selector);
        distributor.claimTo(w, 300 ether, proof, signature);
    }

    function test_more_than_the_claimable_is_refused() public {
        uint256[] memory a = amounts4(300 ether, 200 ether, 0, 0);
        settle(a);
        Distributor.Withdraw memory w = order(0, 300 ether, 1, outside, relayer, 7);
        bytes memory signature = signed(w, keys[0]);
        bytes32[] memory proof = proofOf(a, 0);
        vm.expectRevert(abi.encodeWithSelector(Distributor.ExceedsClaimable.selector, 300 ether + 1, 300 ether));
        distributor.claimTo(w, 300 ether, proof, signature);
        assertTrue(!distributor.nonceUsed(accounts[0], 7), "a refused order leaves its nonce");
        w = order(0, type(uint256).max, 1, outside, relayer, 7);
        signature = signed(w, keys[0]);
        (bool ok,) =
            address(distributor).call(abi.encodeCall(distributor.claimTo, (w, 300 ether, proof, signature)));
        assertTrue(!ok, "the sum of amount and fee overflowed");
    }

    function test_of_two_orders_with_one_nonce_only_one_is_carried_out() public {
        uint256[] memory a = amounts4(300 ether, 200 ether, 0, 0);
        settle(a);
        bytes32[] memory proof = proofOf(a, 0);
        Distributor.Withdraw memory low = order(0, 10 ether, 1 ether, outside, relayer, 9);
        Distributor.Withdraw memory high = order(0, 9 ether, 2 ether, outside, relayer, 9);
        bytes memory lowSigned = signed(low, keys[0]);
        bytes memory highSigned = signed(high, keys[0]);
        distributor.claimTo(high, 300 ether, proof, highSigned);
        vm.expectRevert(Distributor.NonceUsed.selector);
        distributor.claimTo(low, 300 ether, proof, lowSigned);
    }

    function test_a_used_nonce_stays_used_when_its_neighbours_are_used(uint256 nonce) public {
        uint256[] memory a = amounts4(300 ether, 200 ether, 0, 0);
        settle(a);
        bytes32[] memory proof = proofOf(a, 0);
        nonce /= 3;
        for (uint256 i = 0; i < 3; ++i) {
            Distributor.Withdraw memory w = order(0, 1 ether, 0, outside, relayer, nonce + i);
            distributor.claimTo(w, 300 ether, proof, signed(w, keys[0]));
        }
        for (uint256 i = 0; i < 3; ++i) {
            Distributor.Withdraw memory w = order(0, 1 ether, 0, outside, relayer, nonce + i);
            bytes memory signature = signed(w, keys[0]);
            vm.expectRevert(Distributor.NonceUsed.selector);
            distributor.claimTo(w, 300 ether, proof, signature);
        }
        assertEq(token.balanceOf(outside), 3 ether, "three orders");
    }

    function test_an_expired_or_cancelled_order_is_refused() public {
        uint256[] memory a = amounts4(300 ether, 200 ether, 0, 0);
        settle(a);
        bytes32[] memory proof = proofOf(a, 0);
        Distributor.Withdraw memory w = order(0, 10 ether, 1 ether, outside, relayer, 255);
        bytes memory signature = signed(w, keys[0]);
        vm.prank(accounts[0]);
        distributor.cancelNonce(255);
        vm.expectRevert(Distributor.NonceUsed.selector);
        distributor.claimTo(w, 300 ether, proof, signature);
        w = order(0, 10 ether, 1 ether, outside, relayer, 256);
        signature = signed(w, keys[0]);
        vm.warp(w.deadline + 1);
        vm.expectRevert(Distributor.Expired.selector);
        distributor.claimTo(w, 300 ether, proof, signature);
        vm.warp(w.deadline);
        distributor.claimTo(w, 300 ether, proof, signature);
    }

    function test_an_order_for_another_chain_or_distributor_is_refused() public {
        uint256[] memory a = amounts4(300 ether, 200 ether, 0, 0);
        settle(a);
        Distributor other = new Distributor(parameters());
        Distributor.Withdraw memory w = order(0, 10 ether, 1 ether, outside, relayer, 7);
        bytes memory signature = sign(keys[0], other.withdrawDigest(w));
        bytes32[] memory proof = proofOf(a, 0);
        vm.expectRevert(Distributor.WrongSigner.selector);
        distributor.claimTo(w, 300 ether, proof, signature);
        signature = signed(w, keys[0]);
        vm.chainId(block.chainid + 1);
        vm.expectRevert(Distributor.WrongSigner.selector);
        distributor.claimTo(w, 300 ether, proof, signature);
    }

    function test_the_distributor_is_no_recipient() public {
        uint256[] memory a = amounts4(300 ether, 200 ether, 0, 0);
        settle(a);
        Distributor.Withdraw memory w = order(0, 10 ether, 1 ether, address(distributor), relayer, 7);
        bytes memory signature = signed(w, keys[0]);
        bytes32[] memory proof = proofOf(a, 0);
        vm.expectRevert(Distributor.BadParameter.selector);
        distributor.claimTo(w, 300 ether, proof, signature);
    }

    // -------------------------------------------------------------------------------------------- tokens in the wallet

    function test_tokens_in_the_wallet_go_out_by_one_signature() public {
        token.transfer(accounts[2], 50 ether);
        Distributor.Withdraw memory w = order(2, 40 ether, 2 ether, outside, relayer, 3);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(keys[2], receiveDigest(w.account, 42 ether, w.deadline, distributor.withdrawDigest(w)));
        uint256 held = token.balanceOf(address(distributor));
        // Whoever changes the order changes the nonce of the authorization.
        Distributor.Withdraw memory changed = order(2, 40 ether, 2 ether, stranger, relayer, 3);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        distributor.sendTo(changed, v, r, s);
        // Nor can the signature be spent as a deposit.
        bytes32 digest = distributor.withdrawDigest(w);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        distributor.depositWithAuthorization(w.account, 42 ether, w.deadline, digest, v, r, s);
        vm.prank(stranger);
        distributor.sendTo(w, v, r, s);
        assertEq(token.balanceOf(outside), 40 ether, "the recipient gets the amount");
        assertEq(token.balanceOf(relayer), 2 ether, "the relayer gets the fee");
        assertEq(token.balanceOf(accounts[2]), 8 ether, "the rest stays");
        assertEq(token.balanceOf(address(distributor)), held, "nothing stays with the distributor");
        vm.expectRevert(Distributor.NonceUsed.selector);
        distributor.sendTo(w, v, r, s);
    }

    function test_an_order_is_carried_out_once_whoever_claimed_meanwhile(uint96 early, bool both) public {
        uint256[] memory first = amounts4(30 ether, 0, 0, 0);
        settle(first);
        uint256[] memory a = amounts4(30 ether + uint256(early) % 70 ether, 1 ether, 0, 0);
        settle(a);
        uint256 all = a[0];
        Distributor.Withdraw memory w = order(0, all - 1 ether, 1 ether, outside, relayer, 3);
        bytes memory signature = signed(w, keys[0]);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(keys[0], receiveDigest(w.account, all, w.deadline, distributor.withdrawDigest(w)));
        bytes32[] memory proof = proofOf(a, 0);
        // A stranger claims for the account, so that the order out of the distributor no longer fits.
        vm.prank(stranger);
        distributor.claim(accounts[0], both ? all : 30 ether, both ? proof : proofOf(first, 0));
        (bool ok,) = address(distributor).call(abi.encodeCall(distributor.claimTo, (w, all, proof, signature)));
        assertTrue(!ok, "more was paid than was due");
        distributor.claimAndSendTo(w, all, proof, v, r, s);
        assertEq(token.balanceOf(outside), all - 1 ether, "the recipient gets the amount");
        assertEq(token.balanceOf(relayer), 1 ether, "the relayer gets the fee");
        assertEq(token.balanceOf(accounts[0]), 0, "nothing is left");
        vm.expectRevert(Distributor.NonceUsed.selector);
        distributor.claimTo(w, all, proof, signature);
        vm.expectRevert(Distributor.NonceUsed.selector);
        distributor.sendTo(w, v, r, s);
    }

    function test_an_order_signed_for_both_ways_is_carried_out_once() public {
        uint256[] memory a = amounts4(100 ether, 0, 0, 0);
        settle(a);
        token.transfer(accounts[0], 100 ether);
        Distributor.Withdraw memory w = order(0, 40 ether, 1 ether, outside, relayer, 3);
        bytes memory signature = signed(w, keys[0]);
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(keys[0], receiveDigest(w.account, 41 ether, w.deadline, distributor.withdrawDigest(w)));
        distributor.claimTo(w, 100 ether, proofOf(a, 0), signature);
        bytes32[] memory proof = proofOf(a, 0);
        vm.expectRevert(Distributor.NonceUsed.selector);
        distributor.sendTo(w, v, r, s);
        vm.expectRevert(Distributor.NonceUsed.selector);
        distributor.claimAndSendTo(w, 100 ether, proof, v, r, s);
        assertEq(token.balanceOf(outside), 40 ether, "once");
    }

    // -------------------------------------------------------------------------------------------- publishers

    function test_a_publisher_deposits_by_signature() public {
        bytes32 salt = keccak256("salt");
        uint256 deadline = block.timestamp + 1 hours;
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(0x101, receiveDigest(publishers[1], 70 ether, deadline, distributor.depositNonce(salt)));
        distributor.depositWithAuthorization(publishers[1], 70 ether, deadline, salt, v, r, s);
        assertEq(distributor.publisherOf(publishers[1]).deposited, 70 ether, "deposited");
        vm.expectRevert(
            abi.encodeWithSelector(
                ERC3009.ERC3009UsedAuthorization.selector, publishers[1], distributor.depositNonce(salt)
            )
        );
        distributor.depositWithAuthorization(publishers[1], 70 ether, deadline, salt, v, r, s);
    }

    function test_spend_never_exceeds_the_deposit_nor_falls() public {
        vm.startPrank(poster);
        vm.expectRevert(abi.encodeWithSelector(Distributor.ExceedsUnspent.selector, 400 ether + 1, 400 ether));
        distributor.attestSpend(spend(publishers[0], 1000 ether + 1));
        vm.expectRevert(abi.encodeWithSelector(Distributor.SpendDecreased.selector, publishers[0]));
        distributor.attestSpend(spend(publishers[0], 599 ether));
        vm.stopPrank();
        vm.expectRevert(Distributor.NotPoster.selector);
        distributor.attestSpend(spend(publishers[0], 700 ether));
    }

    function test_a_refund_with_consent_is_immediate_and_pays_once() public {
        uint256 deadline = block.timestamp + 1 hours;
        bytes memory signature = sign(posterKey, refundDigest(publishers[0], 300 ether, 650 ether, deadline));
        uint256 before = token.balanceOf(publishers[0]);
        distributor.refund(publishers[0], 300 ether, 650 ether, deadline, signature);
        assertEq(token.balanceOf(publishers[0]) - before, 300 ether, "refunded");
        vm.expectRevert(Distributor.NothingToPay.selector);
        distributor.refund(publishers[0], 300 ether, 650 ether, deadline, signature);
        // 50 is left; more is refused even with consent.
        signature = sign(posterKey, refundDigest(publishers[0], 351 ether, 650 ether, deadline));
        vm.expectRevert(abi.encodeWithSelector(Distributor.ExceedsUnspent.selector, 51 ether, 50 ether));
        distributor.refund(publishers[0], 351 ether, 650 ether, deadline, signature);
        signature = sign(0x101, refundDigest(publishers[0], 350 ether, 650 ether, deadline));
        vm.expectRevert(Distributor.WrongSigner.selector);
        distributor.refund(publishers[0], 350 ether, 650 ether, deadline, signature);
        signature = sign(posterKey, refundDigest(publishers[0], 350 ether, 650 ether, deadline));
        vm.warp(deadline + 1);
        vm.expectRevert(Distributor.Expired.selector);
        distributor.refund(publishers[0], 350 ether, 650 ether, deadline, signature);
        vm.warp(deadline);
        distributor.refund(publishers[0], 350 ether, 650 ether, deadline, signature);
    }

    function test_a_refund_without_consent_waits_and_pays_less_what_was_spent_meanwhile() public {
        vm.startPrank(publishers[0]);
        vm.expectRevert(abi.encodeWithSelector(Distributor.ExceedsUnspent.selector, 401 ether, 400 ether));
        distributor.requestRefund(401 ether);
        distributor.requestRefund(400 ether);
        vm.expectRevert(abi.encodeWithSelector(Distributor.TooEarly.selector, block.timestamp + REFUND_DELAY));
        distributor.finishRefund();
        vm.stopPrank();
        vm.prank(poster);
        distributor.attestSpend(spend(publishers[0], 750 ether));
        vm.warp(block.timestamp + REFUND_DELAY);
        uint256 before = token.balanceOf(publishers[0]);
        vm.startPrank(publishers[0]);
        distributor.finishRefund();
        assertEq(token.balanceOf(publishers[0]) - before, 250 ether, "unspent at that time");
        vm.expectRevert(Distributor.NothingToPay.selector);
        distributor.finishRefund();
        vm.stopPrank();
    }

    function test_a_request_is_paid_once_though_more_is_unspent() public {
        vm.startPrank(publishers[0]);
        distributor.requestRefund(100 ether);
        vm.warp(block.timestamp + REFUND_DELAY);
        distributor.finishRefund();
        vm.expectRevert(Distributor.NothingToPay.selector);
        distributor.finishRefund();
        vm.stopPrank();
        assertEq(distributor.publisherOf(publishers[0]).refunded, 100 ether, "as requested");
    }

    // -------------------------------------------------------------------------------------------- keys and limits

    function test_only_the_admin_changes_keys_and_limits() public {
        bytes memory refusal = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(refusal);
        distributor.setRoles(stranger, stranger);
        vm.expectRevert(refusal);
        distributor.setLimits(0, 0, 1, type(uint104).max);
        vm.expectRevert(refusal);
        distributor.correctSpend(publishers[0], 0);
        vm.expectRevert(refusal);
        distributor.unpause();
        vm.expectRevert(Distributor.NotGuardian.selector);
        distributor.pause();
        vm.expectRevert(Distributor.NotGuardian.selector);
        distributor.revoke(bytes32("root"));
        vm.stopPrank();
        vm.startPrank(admin);
        distributor.setRoles(stranger, relayer);
        distributor.setLimits(5, 6, 7, 8);
        vm.expectRevert(Distributor.BadParameter.selector);
        distributor.setLimits(5, 6, 0, 8);
        vm.expectRevert(Distributor.BadParameter.selector);
        distributor.setRoles(address(0), relayer);
        vm.stopPrank();
        vm.prank(admin);
        vm.expectRevert(Distributor.BadParameter.selector);
        distributor.renounceOwnership();
        assertTrue(distributor.guardian() == stranger && distributor.poster() == relayer, "roles");
        assertEq(distributor.epochCap(), 8, "cap");
    }

    function test_attested_spend_can_be_corrected_only_down_to_what_roots_promise() public {
        settle(amounts4(100 ether, 0, 0, 0));
        propose(amounts4(100 ether, 100 ether, 0, 0));
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Distributor.NotFunded.selector, 200 ether, 199 ether));
        distributor.correctSpend(publishers[0], 199 ether);
        distributor.correctSpend(publishers[0], 200 ether);
        vm.stopPrank();
        assertEq(distributor.totalSpent(), 200 ether, "spent");
        vm.prank(publishers[0]);
        distributor.requestRefund(800 ether);
    }

    function test_amounts_beyond_the_storage_width_are_refused_not_cut_off() public {
        uint256 tooMuch = uint256(type(uint104).max) + 1;
        vm.prank(publishers[0]);
        (bool ok,) = address(distributor).call(abi.encodeCall(distributor.deposit, (tooMuch)));
        assertTrue(!ok, "a deposit was cut off");
        vm.prank(admin);
        (ok,) = address(distributor).call(abi.encodeCall(distributor.setLimits, (1, 1, 1, tooMuch)));
        assertTrue(!ok, "a cap was cut off");
    }
}
