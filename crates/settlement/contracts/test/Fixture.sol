// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Distributor} from "../src/Distributor.sol";
import {Ember} from "../src/Ember.sol";

/// The cheatcodes of forge that these tests use.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 time) external;
    function chainId(uint256 id) external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function assume(bool condition) external pure;
}

/// A Merkle tree over (account, cumulative) with sorted pairs. Any shape of tree will do for the contract; the shape of
/// OpenZeppelin's library is compared in the Rust tests.
library Tree {
    function leaves(address[] memory accounts, uint256[] memory amounts) internal pure returns (bytes32[] memory out) {
        out = new bytes32[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            out[i] = keccak256(bytes.concat(keccak256(abi.encode(accounts[i], amounts[i]))));
        }
    }

    function root(bytes32[] memory layer) internal pure returns (bytes32) {
        while (layer.length > 1) layer = up(layer);
        return layer[0];
    }

    function proof(bytes32[] memory layer, uint256 index) internal pure returns (bytes32[] memory out) {
        bytes32[] memory long = new bytes32[](64);
        uint256 used;
        while (layer.length > 1) {
            uint256 sibling = index ^ 1;
            if (sibling < layer.length) long[used++] = layer[sibling];
            index /= 2;
            layer = up(layer);
        }
        out = new bytes32[](used);
        for (uint256 i = 0; i < used; ++i) out[i] = long[i];
    }

    function up(bytes32[] memory layer) private pure returns (bytes32[] memory next) {
        next = new bytes32[]((layer.length + 1) / 2);
        for (uint256 i = 0; i < next.length; ++i) {
            next[i] = 2 * i + 1 < layer.length ? pair(layer[2 * i], layer[2 * i + 1]) : layer[2 * i];
        }
    }

    function pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(bytes.concat(a, b)) : keccak256(bytes.concat(b, a));
    }
}

/// A distributor with three publishers' worth of tokens, four contributors with known keys, and short delays.
abstract contract Fixture {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant SUPPLY = 1_000_000 ether;
    uint256 internal constant CAP = 10_000 ether;
    uint32 internal constant DELAY = 1 days;
    uint32 internal constant REFUND_DELAY = 7 days;
    uint16 internal constant KEPT = 3;

    address internal constant admin = address(0xAD);
    address internal constant guardian = address(0x60);
    uint256 internal constant posterKey = 0x905;
    address internal poster = vm.addr(posterKey);
    address internal constant relayer = address(0x8e1a);
    address internal constant stranger = address(0x57);
    address internal constant outside = address(0x0075);

    Ember internal token;
    Distributor internal distributor;

    address[] internal publishers;
    uint256[] internal keys;
    address[] internal accounts;

    function build() internal {
        vm.warp(1_800_000_000);
        token = new Ember(SUPPLY);
        distributor = new Distributor(parameters());
        for (uint256 i = 0; i < 3; ++i) {
            address publisher = vm.addr(0x100 + i);
            publishers.push(publisher);
            token.transfer(publisher, SUPPLY / 4);
            vm.prank(publisher);
            token.approve(address(distributor), type(uint256).max);
        }
        for (uint256 i = 0; i < 4; ++i) {
            keys.push(0x200 + i);
            accounts.push(vm.addr(0x200 + i));
        }
    }

    function parameters() internal view returns (Distributor.Parameters memory) {
        return Distributor.Parameters(address(token), admin, guardian, poster, DELAY, REFUND_DELAY, KEPT, CAP);
    }

    function deposit(address publisher, uint256 amount) internal {
        vm.prank(publisher);
        distributor.deposit(amount);
    }

    function spend(address publisher, uint256 amount) internal pure returns (Distributor.Spend[] memory spends) {
        spends = new Distributor.Spend[](1);
        spends[0] = Distributor.Spend(publisher, amount);
    }

    function none() internal pure returns (Distributor.Spend[] memory) {
        return new Distributor.Spend[](0);
    }

    function sum(uint256[] memory amounts) internal pure returns (uint256 total) {
        for (uint256 i = 0; i < amounts.length; ++i) total += amounts[i];
    }

    function amounts4(uint256 a, uint256 b, uint256 c, uint256 d) internal pure returns (uint256[] memory out) {
        out = new uint256[](4);
        (out[0], out[1], out[2], out[3]) = (a, b, c, d);
    }

    function rootOf(uint256[] memory amounts) internal view returns (bytes32) {
        return Tree.root(Tree.leaves(accounts, amounts));
    }

    function proofOf(uint256[] memory amounts, uint256 index) internal view returns (bytes32[] memory) {
        return Tree.proof(Tree.leaves(accounts, amounts), index);
    }

    function propose(uint256[] memory amounts) internal {
        uint256 epoch = uint256(distributor.activeEpoch()) + 1;
        vm.prank(poster);
        distributor.propose(epoch, rootOf(amounts), sum(amounts), bytes32("manifest"), none());
    }

    /// Proposes and activates a tree.
    function settle(uint256[] memory amounts) internal {
        propose(amounts);
        vm.warp(block.timestamp + DELAY);
        distributor.activate();
    }

    function order(uint256 index, uint256 amount, uint256 fee, address to, address payee, uint256 nonce)
        internal
        view
        returns (Distributor.Withdraw memory)
    {
        return Distributor.Withdraw(accounts[index], to, amount, fee, payee, nonce, block.timestamp + 1 hours);
    }

    function sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function signed(Distributor.Withdraw memory w, uint256 key) internal view returns (bytes memory) {
        return sign(key, distributor.withdrawDigest(w));
    }

    function receiveDigest(address from, uint256 value, uint256 validBefore, bytes32 nonce)
        internal
        view
        returns (bytes32)
    {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Ember"),
                keccak256("1"),
                block.chainid,
                address(token)
            )
        );
        bytes32 message = keccak256(
            abi.encode(
                keccak256(
                    "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
                ),
                from,
                address(distributor),
                value,
                0,
                validBefore,
                nonce
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }

    function refundDigest(address publisher, uint256 refunded, uint256 spent, uint256 deadline)
        internal
        view
        returns (bytes32)
    {
        bytes32 message =
            keccak256(abi.encode(distributor.REFUND_TYPEHASH(), publisher, refunded, spent, deadline));
        return keccak256(abi.encodePacked(hex"1901", distributor.domainSeparator(), message));
    }

    function assertEq(uint256 a, uint256 b, string memory why) internal pure {
        if (a != b) revert(string.concat(why, ": ", text(a), " is not ", text(b)));
    }

    function assertTrue(bool condition, string memory why) internal pure {
        require(condition, why);
    }

    function text(uint256 value) private pure returns (string memory) {
        if (value == 0) return "0";
        bytes memory digits;
        for (; value != 0; value /= 10) digits = bytes.concat(bytes1(uint8(48 + value % 10)), digits);
        return string(digits);
    }
}
