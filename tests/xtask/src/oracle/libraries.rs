//! Forms with the functions of Kubernetes' libraries, for every overload.

use super::templates::Kind;

/// Forms by what they yield, one a line, as in `templates.rs`.
pub(super) const FORMS: &[(Kind, &str)] = &[
    (
        Kind::Bool,
        "$Ints.isSorted() | $Texts.isSorted() | [$Uint, $Uint].isSorted() | [$Double, $Double].isSorted()
         | [$Bool, $Bool].isSorted() | [$Length, $Length].isSorted() | [$Time, $Time].isSorted()
         | [$Bytes, $Bytes].isSorted() | $Any.isSorted() | [$Bool, $Bool].max() | [$Bool, $Bool].min()
         | $Any.includes($Any) | $Ints.includes($Int) | $Text.includes($Text)
         | sets.contains($Ints, $Ints) | sets.equivalent($Ints, $Ints) | sets.intersects($Texts, $Texts)
         | sets.contains($Any, $Any) | isURL($Text) | isIP($Text) | isCIDR($Text) | ip.isCanonical($Text)
         | isQuantity($Text) | isSemver($Text) | isSemver($Text, $Bool) | $Address.isUnspecified()
         | $Address.isLoopback() | $Address.isLinkLocalMulticast() | $Address.isLinkLocalUnicast()
         | $Address.isGlobalUnicast() | $Prefix.containsIP($Address) | $Prefix.containsIP($Text)
         | $Prefix.containsCIDR($Prefix) | $Prefix.containsCIDR($Text) | $Prefix.containsIP(dyn($Address))
         | $Prefix.containsCIDR(dyn($Prefix)) | $Quantity.isInteger() | $Quantity.isGreaterThan($Quantity)
         | $Quantity.isLessThan($Quantity) | $Version.isGreaterThan($Version) | $Version.isLessThan($Version)
         | dyn($Version).isLessThan($Any) | dyn($Quantity).isGreaterThan($Any) | $Quantity == $Quantity
         | $Version == $Version | $Address == $Address | $Prefix != $Prefix | $Link == $Link | $Format == $Format
         | $Format.validate($Text).hasValue() | format.named($Text).hasValue()",
    ),
    (
        Kind::Int,
        "$Text.indexOf($Text) | $Text.indexOf($Text, $Int) | $Text.lastIndexOf($Text)
         | $Text.lastIndexOf($Text, $Int) | $Any.indexOf($Any) | $Any.indexOf($Text, $Int)
         | $Any.lastIndexOf($Any) | $Any.lastIndexOf($Text, $Int) | $Ints.indexOf($Int) | $Ints.lastIndexOf($Int)
         | $Ints.sum() | $Ints.max() | $Ints.min() | $Address.family() | $Prefix.prefixLength()
         | $Quantity.asInteger() | sign($Quantity) | -($Int) | dyn($Int) * $Any | $Any * dyn($Double) | $Quantity.compareTo($Quantity)
         | $Version.compareTo($Version) | dyn($Version).compareTo($Any) | $Version.major() | $Version.minor()
         | $Version.patch() | $Ints.sort()[0] | size(lists.range($Int))",
    ),
    (
        Kind::Uint,
        "[$Uint, $Uint].sum() | [$Uint, $Uint].max() | [$Uint, $Uint].min() | [$Uint, $Uint].sort()[0]",
    ),
    (
        Kind::Double,
        "[$Double, $Double].sum() | [$Double, $Double].max() | [$Double, $Double].min()
         | [$Double, $Double, $Double].sort()[0] | $Quantity.asApproximateFloat()",
    ),
    (
        Kind::Text,
        "$Text.charAt($Int) | $Text.lowerAscii() | $Text.upperAscii() | $Text.trim() | strings.quote($Text)
         | $Text.replace($Text, $Text) | $Text.replace($Text, $Text, $Int) | $Text.substring($Int)
         | $Text.substring($Int, $Int) | $Texts.join() | $Texts.join($Text) | $Any.join()
         | '%s|%s'.format([$Any, $Text]) | '%d'.format([$Int]) | '%d %x %o %b'.format([$Uint, $Int, $Int, $Uint])
         | '%f %e %s'.format([$Double, $Double, $Double]) | '%.2f'.format([$Double]) | '%X'.format([$Text])
         | '%x'.format([$Bytes]) | '%s %s'.format([$Time, $Length]) | '%s'.format([$Objects])
         | '%s %s'.format([$Table, $Ints]) | '%s'.format([[$Any]]) | $Text.format([$Any]) | '%d'.format($Any)
         | '%s %d'.format([$Any]) | '%s'.format([$Type]) | '%b'.format([$Bool])
         | $Text.find('[a-z]+') | $Text.find($Text) | $Texts.max() | $Texts.min() | $Texts.sort()[0]
         | string($Address) | string($Prefix) | $Link.getScheme() | $Link.getHost() | $Link.getHostname()
         | $Link.getPort() | $Link.getEscapedPath()",
    ),
    (Kind::Bytes, "[$Bytes, $Bytes].max() | [$Bytes, $Bytes].min() | [$Bytes, $Bytes].sort()[0]"),
    (Kind::Time, "[$Time, $Time].max() | [$Time, $Time].min() | [$Time, $Time].sort()[0]"),
    (
        Kind::Length,
        "[$Length, $Length].sum() | [$Length, $Length].max() | [$Length, $Length].min()
         | [$Length, $Length].sort()[0]",
    ),
    (
        Kind::Ints,
        "$Ints.slice($Int, $Int) | [$Ints, $Ints].flatten() | [$Ints].flatten($Int) | $Ints.sort()
         | $Ints.sortBy($e:Int, $Int) | $Texts.sortBy($e:Text, $Int).map($e:Text, $Int) | lists.range(7)
         | lists.range($Int) | $Ints.reverse() | $Ints.distinct()",
    ),
    (
        Kind::Texts,
        "$Text.split($Text) | $Text.split($Text, $Int) | $Text.findAll('[a-z]') | $Text.findAll($Text)
         | $Text.findAll('.', $Int) | $Texts.slice($Int, $Int) | $Texts.distinct() | $Texts.sort()
         | $Texts.reverse() | $Texts.sortBy($e:Text, $Text) | $Format.validate($Text).orValue([])
         | $Link.getQuery().map($k:Text, $Text)",
    ),
    (
        Kind::Objects,
        "$Objects.sortBy($c:Object, $Text) | $Objects.sortBy($c:Object, $Any) | $Objects.slice($Int, $Int)
         | $Objects.distinct() | $Objects.reverse()",
    ),
    (
        Kind::Any,
        "$Any.sort() | $Any.sortBy($e:Any, $Any) | $Any.sum() | $Any.max() | $Any.min() | $Any.flatten()
         | $Any.flatten($Int) | $Any.distinct() | $Any.slice($Int, $Int) | $Any.reverse() | $Any.find($Any)
         | $Any.format($Any) | $Link.getQuery() | [$Bool, $Bool].sort() | dyn($Quantity).add($Any)
         | dyn($Quantity).sub($Any) | $Any.split($Any) | $Any.validate($Any)",
    ),
    (Kind::Address, "ip($Text) | $Prefix.ip() | $Bool ? $Address : $Address"),
    (Kind::Prefix, "cidr($Text) | $Prefix.masked() | $Bool ? $Prefix : $Prefix"),
    (
        Kind::Quantity,
        "quantity($Text) | $Quantity.add($Quantity) | $Quantity.add($Int) | $Quantity.sub($Quantity)
         | $Quantity.sub($Int) | $Bool ? $Quantity : $Quantity",
    ),
    (Kind::Version, "semver($Text) | semver($Text, $Bool) | $Bool ? $Version : $Version"),
    (Kind::Link, "url($Text) | $Bool ? $Link : $Link"),
    (
        Kind::Format,
        "format.named($Text).value() | format.byte() | format.date() | format.datetime() | format.dns1035Label()
         | format.dns1035LabelPrefix() | format.dns1123Label() | format.dns1123LabelPrefix()
         | format.dns1123Subdomain() | format.dns1123SubdomainPrefix() | format.labelValue()
         | format.qualifiedName() | format.uri() | format.uuid()",
    ),
];
