// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title EMBER, the token of the local network.
/// @notice The whole supply exists from the first block on and belongs to whoever deployed it: nothing is ever minted
/// afterwards, so what a contributor earns was paid by a publisher. A public network names a liquid stablecoin instead;
/// the distributor asks for nothing but ERC-20 and ERC-3009.
contract Ember is ERC3009 {
    constructor(uint256 supply) ERC20("Ember", "EMBER") EIP712("Ember", "1") {
        _mint(msg.sender, supply);
    }
}
