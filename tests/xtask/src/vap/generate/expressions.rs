//! Expressions, from lists of those that users write and of those that fail.

use crate::vap::dice::Dice;

/// What an expression may speak of.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The feature that names the kind of object.
    pub(super) kind: &'static str,
    pub(super) sub_resource: &'static str,
    /// The kind of params, if there are any.
    pub(super) params: Option<&'static str>,
    pub(super) variables: Vec<Variable>,
}

/// A variable, as far as expressions have to know it.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) kind: VariableKind,
}

/// The checked type of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VariableKind {
    Bool,
    Text,
    Number,
    Unknown,
}

/// Of any object.
const ANY: &[&str] = &[
    "true",
    "false",
    "object != null",
    "oldObject == null",
    "object == null || has(object.metadata)",
    "has(object.metadata.labels) && 'app' in object.metadata.labels",
    "has(object.metadata.labels)",
    "object.metadata.name != 'x'",
    "object.metadata.name.startsWith('w')",
    "size(object.metadata.name) < 4",
    "object.?metadata.?labels.?app.orValue('none') != 'db'",
    "oldObject == null || object == null || object.metadata.?labels == oldObject.metadata.?labels",
    "oldObject.metadata.labels['app'] == 'web'",
    "(object == null ? oldObject : object).metadata.name.matches('^[a-z]+$')",
    "object.metadata.?annotations.?note.hasValue()",
    "!has(object.metadata.generateName)",
    "object.kind == request.kind.kind",
    "object.apiVersion == 'v1'",
    "has(object.metadata.creationTimestamp)",
    "!has(object.status)",
    "object.metadata.all(key, key != 'managedFields')",
    "object.metadata.labels.exists(key, object.metadata.labels[key] == '')",
];
/// Of any request.
const REQUEST: &[&str] = &[
    "request.operation == 'CREATE'",
    "request.operation in ['CREATE', 'UPDATE']",
    "request.name == 'web'",
    "request.namespace == 'shop'",
    "has(request.name)",
    "has(request.namespace)",
    "has(request.subResource)",
    "!has(request.subResource) || request.subResource == 'status'",
    "!has(request.requestSubResource)",
    "request.kind.group == ''",
    "has(request.kind.group)",
    "request.kind.kind in ['Pod', 'Widget', 'Namespace']",
    "request.kind.version == 'v1'",
    "request.requestKind.version == request.kind.version",
    "request.requestKind.kind != 'Secret'",
    "request.resource.resource.endsWith('s')",
    "request.requestResource.version == 'v1'",
    "request.requestResource.group == request.resource.group",
    "request.userInfo.username == 'jane'",
    "request.userInfo.username.startsWith('system:')",
    "'dev' in request.userInfo.groups",
    "has(request.userInfo.groups) && request.userInfo.groups.exists(g, g == 'ops')",
    "has(request.userInfo.uid)",
    "request.userInfo.extra['scopes'].exists(s, s == 'read')",
    "has(request.userInfo.extra) && 'example.com/team' in request.userInfo.extra",
    "request.dryRun",
    "!request.dryRun",
    "has(request.dryRun)",
    "has(request.options)",
    "request.options.kind == 'CreateOptions'",
    "has(request.options.fieldManager)",
    "!has(request.options.dryRun)",
];
/// Of the request's Namespace.
const NAMESPACE: &[&str] = &[
    "namespaceObject == null",
    "namespaceObject != null",
    "namespaceObject.metadata.name == 'shop'",
    "namespaceObject.metadata.labels['env'] == 'prod'",
    "'team' in namespaceObject.metadata.labels",
    "has(namespaceObject.metadata.annotations) && namespaceObject.metadata.annotations['owner'] != ''",
    "namespaceObject.metadata.labels.all(key, key != '')",
    "namespaceObject.status.phase == 'Active'",
    "has(namespaceObject.status.conditions)",
    "namespaceObject.status.conditions.all(c, c.status == 'True')",
    "namespaceObject.metadata.creationTimestamp < timestamp('2025-01-01T00:00:00Z')",
    "has(namespaceObject.metadata.deletionTimestamp)",
    "namespaceObject.spec.finalizers.exists(f, f == 'kubernetes')",
    "has(namespaceObject.metadata.generateName)",
    "namespaceObject.metadata.resourceVersion == '7'",
    "has(namespaceObject.metadata.generation)",
];
const POD: &[&str] = &[
    "!has(object.spec.hostNetwork) || object.spec.hostNetwork == false",
    "object.spec.?hostNetwork.orValue(false) == false",
    "object.spec.containers.all(c, c.image.startsWith('registry.example.com/'))",
    "object.spec.containers.exists(c, c.name == 'app')",
    "object.spec.containers.exists_one(c, c.image == 'nginx')",
    "object.spec.containers.all(c, has(c.resources) && has(c.resources.limits) && 'memory' in c.resources.limits)",
    "object.spec.containers.all(c, !has(c.securityContext) || !has(c.securityContext.privileged) || !c.securityContext.privileged)",
    "object.spec.containers.all(c, c.?securityContext.?runAsUser.orValue(1) != 0)",
    "size(object.spec.containers) <= 2",
    "object.spec.containers[0].image.contains(':')",
    "object.spec.containers.map(c, c.name) == ['app']",
    "object.spec.containers.filter(c, has(c.ports)).all(c, c.ports.all(p, p.containerPort > 1024))",
    "object.spec.containers.all(c, !has(c.ports) || c.ports.all(p, !has(p.hostPort)))",
    "object.spec.?initContainers.orValue([]).size() == 0",
    "!has(object.spec.terminationGracePeriodSeconds) || object.spec.terminationGracePeriodSeconds <= 30",
    "has(object.spec.nodeSelector) && object.spec.nodeSelector['disk'] == 'ssd'",
    "object.spec.containers.all(c, !has(c.livenessProbe) || c.livenessProbe.httpGet.port == 'http')",
    "type(object.spec.containers[0].?livenessProbe.?httpGet.?port.orValue('')) == string",
    "object.spec.containers.transformList(i, c, i + size(c.name)).all(n, n > 3)",
    "object.spec.containers == oldObject.spec.containers",
    "object.spec == oldObject.spec",
];
const EXEC: &[&str] = &[
    "object.container == 'app'",
    "!object.tty",
    "object.command.all(c, c != 'sh')",
    "has(object.stdin) && object.stdin",
    "object.kind == 'PodExecOptions'",
    "object.command[0] == 'sh'",
    "!has(object.metadata)",
];
const DEPLOYMENT: &[&str] = &[
    "object.spec.replicas <= 3",
    "object.spec.replicas >= oldObject.spec.replicas",
    "has(object.spec.replicas) && object.spec.replicas * 2 < 7",
    "object.spec.template.spec.containers.all(c, c.image.contains(':'))",
    "object.spec.selector.matchLabels == object.spec.template.metadata.labels",
];
const SCALE: &[&str] = &["object.spec.replicas < 4", "object.spec.replicas - oldObject.spec.replicas <= 1"];
const CONFIG: &[&str] = &[
    "object.data.max != 'many'",
    "int(object.data.max) < 3",
    "'note' in object.data && object.data.note.contains('\\n')",
    "object.data.size() == 2",
    "object.data.all(key, value, key != value)",
];
const SECRET: &[&str] = &[
    "object.type == 'Opaque'",
    "object.data.password != 'aHVudGVyMg=='",
    "size(object.data) > 1 && 'user' in object.data",
    "!has(object.stringData)",
];
const SERVICE: &[&str] = &[
    "object.spec.type == 'ClusterIP'",
    "object.spec.ports.all(p, has(p.name))",
    "object.spec.ports.exists(p, p.targetPort == 'http')",
    "object.spec.ports.exists(p, p.targetPort == 8443)",
    "object.spec.ports[1].port == 443",
    "object.spec.ports.all(p, has(p.protocol))",
];
const CLUSTER_ROLE: &[&str] = &[
    "object.rules.all(r, !('*' in r.verbs))",
    "object.rules.all(r, r.resources.all(x, x != 'secrets'))",
    "object.rules.map(r, r.verbs.size()).all(n, n < 3)",
];
const NAMESPACES: &[&str] = &[
    "object.metadata.labels.env == 'prod'",
    "request.namespace == request.name",
    "object.metadata.name == request.namespace",
    "'kubernetes' in object.spec.finalizers",
];
const CUSTOM: &[&str] = &[
    "object.spec.size < 5",
    "object.spec.ratio > 1.0",
    "object.spec.ratio * 2.0 == 3.0",
    "object.spec.nothing == null",
    "has(object.spec.nothing)",
    "object.spec.on || false",
    "object.spec.on == true",
    "'web' in object.spec.names",
    "object.spec.names.exists(n, n == 'a')",
    "object.spec.port == '8080'",
    "object.spec.size / 2 >= 1 && object.spec.size % 2 == 0",
    "object.spec.size > 3.5",
    "object.apiVersion == 'example.com/v1'",
];
/// With Kubernetes' own functions.
const LIBRARIES: &[&str] = &[
    "object.metadata.name.lowerAscii() == object.metadata.name",
    "object.metadata.name.split('-').size() == 1",
    "object.metadata.name.replace('e', 'a').indexOf('a') == 1",
    "'%s in %d parts'.format([object.kind, size(object.metadata.name)]).contains('7')",
    "object.metadata.name.find('[0-9]+') == ''",
    "object.metadata.name.findAll('[a-z]').size() > 2",
    "['web', 'db'].isSorted()",
    "[size(object.metadata.name), 3].max() > 3",
    "[1, 2, size(object.metadata.name)].sum() < 8",
    "sets.contains(['web', 'db'], [string(object.metadata.name)])",
    "sets.intersects(['dev'], request.userInfo.groups)",
    "quantity('500m').isLessThan(quantity('1'))",
    "isQuantity(object.metadata.name)",
    "quantity(object.spec.containers[0].resources.limits.memory).isGreaterThan(quantity('512Mi'))",
    "quantity(object.spec.limits.cpu).add(quantity('1')).compareTo(quantity('1.1')) == 0",
    "url('https://' + object.metadata.name + '.example.com:8443/a?b=c').getPort() == '8443'",
    "isURL('/' + object.metadata.name)",
    "url('https://' + object.metadata.name).getHostname() == 'web'",
    "ip('10.0.0.7').family() == 4 && !isIP(object.metadata.name)",
    "cidr('10.0.0.0/8').containsIP('10.' + string(size(object.metadata.name)) + '.0.1')",
    "semver('1.2.3').isLessThan(semver('1.' + string(size(object.metadata.name)) + '.0'))",
    "isSemver(object.metadata.name)",
    "!format.dns1123Label().validate(object.metadata.name).hasValue()",
    "format.named('uuid').hasValue() && format.uuid().validate(object.metadata.name).value().size() == 1",
    "strings.quote(object.metadata.name).startsWith('\"')",
    "[3, 1, 2].sort()[0] == 1",
    "lists.range(size(object.metadata.name)).size() > 2",
];
/// Questions to the authorizer.
const AUTHORIZER: &[&str] = &[
    "authorizer.path('/healthz').check('get').allowed()",
    "authorizer.group('apps').resource('deployments').namespace('shop').check('create').allowed()",
    "authorizer.group('').resource('pods').subresource('exec').name(request.name).check('create').allowed()",
    "authorizer.requestResource.check('delete').allowed()",
    "authorizer.requestResource.check('get').reason() == 'by lot'",
    "authorizer.requestResource.check('watch').errored()",
    "authorizer.serviceAccount('shop', 'builder').group('').resource('secrets').check('list').allowed()",
    "authorizer.group('').resource('nodes').check('update').error() == ''",
    "authorizer.group('').resource('nodes').check(request.operation.lowerAscii()).allowed()",
    "['get', 'list', 'watch'].all(verb, authorizer.group('').resource('pods').namespace(request.namespace).check(verb).allowed())",
    "authorizer.serviceAccount('Shop', 'builder').path('/').check('get').allowed()",
    "authorizer.group('').resource('pods').labelSelector('app=web').check('list').allowed()",
    "authorizer.group('').resource('pods').fieldSelector('spec.nodeName=a').check('list').allowed()",
];
/// Evaluated, each of these fails on most objects.
const FAILING: &[&str] = &[
    "object.spec.nothing.here == 1",
    "object.metadata.labels['none'] == 'x'",
    "object.metadata.annotations.none != ''",
    "request.subResource == ''",
    "request.userInfo.extra['none'].size() == 0",
    "int(object.metadata.name) > 0",
    "object.metadata.name > 3",
    "object.metadata.name[0] == 'x'",
    "object.metadata + 1 == 2",
    "size(object) / (size(object.metadata.name) - size(object.metadata.name)) > 0",
    "object.spec.containers[7].name == 'app'",
    "namespaceObject.metadata.labels['none'] == 'a'",
    "timestamp(object.metadata.name) > timestamp('2020-01-01T00:00:00Z')",
    "object.metadata.name.matches('(' + object.metadata.name)",
    "oldObject.metadata.labels.none == object.metadata.labels.none",
    "duration(object.metadata.name) > duration('1s')",
    "optional.none().value() == 1",
    "[1, 2][size(object.metadata.name) + 5] == 1",
    "9223372036854775807 + size(object.metadata.name) > 0",
    "dyn(object.metadata.name) < dyn(1)",
    "request.options.none.none == ''",
    "{'a': 1}[object.metadata.name] == 1",
    "object.metadata.labels.app.nothing == 1",
    "!object.metadata.name",
    "quantity(object.metadata.name).isLessThan(quantity('1'))",
    "ip(object.metadata.name).family() == 4",
    "cidr(object.metadata.name).prefixLength() == 8",
    "semver(object.metadata.name).major() == 1",
    "url(object.metadata.name).getHost() == ''",
    "'%d'.format([object.metadata.name]) == ''",
    "object.metadata.name.substring(7, 3) == ''",
    "object.metadata.name.charAt(99) == ''",
    "lists.range(size(object.metadata.name) - 10).max() > 0",
    "object.metadata.name ? true : false",
    "(object.metadata.name && false) || true",
    "object.metadata.labels.none == 'a' || object.metadata.annotations.none == 'b'",
    "object.metadata.all(k, k > 3)",
];

/// A bool for a validation or a matchCondition.
pub(super) fn truth(dice: &mut Dice<'_>, scope: &Scope) -> String {
    let variables = scope.variables.clone();
    let single = |dice: &mut Dice<'_>| -> String {
        if let (true, Some(at)) = (dice.percent(50), dice.index(variables.len())) {
            return of_variable(dice, &variables[at]);
        }
        if let (true, Some(kind)) = (dice.percent(50), scope.params) {
            return dice.pick(of_params(kind)).to_owned();
        }
        let lists = [about(scope), about(scope), ANY, REQUEST, NAMESPACE, LIBRARIES];
        let at = dice.between(0, lists.len() - 1);
        dice.pick(lists[at]).to_owned()
    };
    let first = single(dice);
    if dice.percent(75) {
        return first;
    }
    let second = single(dice);
    match dice.between(0, 4) {
        0 => format!("({first}) && ({second})"),
        1 => format!("({first}) || ({second})"),
        2 => format!("!({first})"),
        3 => format!("({first}) ? ({second}) : false"),
        _ => format!("({first}) == ({second})"),
    }
}

/// A bool whose evaluation mostly fails.
pub(super) fn failing(dice: &mut Dice<'_>) -> String {
    dice.pick(FAILING).to_owned()
}

/// A bool that the authorizer knows.
pub(super) fn authorized(dice: &mut Dice<'_>) -> String {
    dice.pick(AUTHORIZER).to_owned()
}

/// A text: for messages, audit annotations and variables.
pub(super) fn text(dice: &mut Dice<'_>, scope: &Scope) -> String {
    let of_text = scope.variables.iter().find(|variable| variable.kind == VariableKind::Text);
    if let (true, Some(variable)) = (dice.percent(40), of_text) {
        return format!("'see ' + variables.{}", variable.name);
    }
    if let (true, Some(kind)) = (dice.percent(40), scope.params) {
        return match kind {
            "ConfigMap" => "'at most ' + params.data.max",
            "StorageClass" => "'by ' + string(params.provisioner)",
            _ => "'at most ' + string(params.spec.max)",
        }
        .to_owned();
    }
    dice.pick(&[
        "'plain text'",
        "'name ' + object.metadata.name",
        "'name ' + string(object.metadata.name) + ' is not allowed'",
        "request.operation + ' of ' + request.resource.resource",
        "'you are ' + request.userInfo.username",
        "object == null ? 'gone' : 'kind ' + string(object.kind)",
        "string(size(object.metadata.name)) + ' characters'",
        "'größe ✓ \"quoted\" <b>&'",
        "'a\\tb'",
        "string(object.?metadata.?labels.?app.orValue('no app'))",
        "'in ' + namespaceObject.metadata.name",
        "['a', 'b'].exists(x, x == 'b') ? 'has b' : 'has none'",
        "string(1.5) + ' ' + string(true) + ' ' + string(timestamp('2024-01-01T00:00:00Z'))",
    ])
    .to_owned()
}

fn about(scope: &Scope) -> &'static [&'static str] {
    match (scope.sub_resource, scope.kind) {
        ("exec" | "attach", _) => EXEC,
        ("scale", _) => SCALE,
        ("eviction", _) => ANY,
        (_, "kind.pod") => POD,
        (_, "kind.deployment") => DEPLOYMENT,
        (_, "kind.config-map") => CONFIG,
        (_, "kind.secret") => SECRET,
        (_, "kind.service") => SERVICE,
        (_, "kind.cluster-role") => CLUSTER_ROLE,
        (_, "kind.namespace") => NAMESPACES,
        (_, "kind.custom" | "kind.custom-cluster") => CUSTOM,
        _ => REQUEST,
    }
}

fn of_params(kind: &str) -> &'static [&'static str] {
    match kind {
        "ConfigMap" => &[
            "params != null",
            "int(params.data.max) >= 3",
            "params.data['team'] == 'a'",
            "has(params.data) && 'team' in params.data",
            "params.kind == 'ConfigMap' && params.apiVersion == 'v1'",
            "params.metadata.namespace == request.namespace",
            "has(params.metadata.labels) && params.metadata.labels.tier == 'gold'",
            "size(object.metadata.name) <= int(params.data.max)",
        ],
        "StorageClass" => &[
            "params.provisioner.startsWith('example.com/')",
            "has(params.reclaimPolicy) && params.reclaimPolicy == 'Retain'",
            "params.allowVolumeExpansion && true",
            "has(params.parameters) && params.parameters.max == '4'",
            "params.kind == 'StorageClass'",
        ],
        _ => &[
            "params.spec.max >= 2",
            "params.spec.names.exists(n, n == object.metadata.name)",
            "object.metadata.name in params.spec.names",
            "!has(params.spec.strict) || !params.spec.strict",
            "params.spec.strict || false",
            "params.spec.?ratio.orValue(1.0) < 1.0",
            "params.kind == 'Rule'",
            "params.metadata.name == 'main'",
            "params == null || params.spec.max != 1",
        ],
    }
}

fn of_variable(dice: &mut Dice<'_>, variable: &Variable) -> String {
    let name = &variable.name;
    match variable.kind {
        VariableKind::Bool => match dice.between(0, 2) {
            0 => format!("variables.{name}"),
            1 => format!("!variables.{name}"),
            _ => format!("variables.{name} || variables.{name}"),
        },
        VariableKind::Text => match dice.between(0, 2) {
            0 => format!("variables.{name} != ''"),
            1 => format!("size(variables.{name}) < 10"),
            _ => format!("variables.{name}.contains('a')"),
        },
        VariableKind::Number => match dice.between(0, 2) {
            0 => format!("variables.{name} > 2"),
            1 => format!("variables.{name} % 2 == 0"),
            _ => format!("variables.{name} + variables.{name} < 9"),
        },
        VariableKind::Unknown => match dice.between(0, 3) {
            0 => format!("variables.{name} != null"),
            1 => format!("has(variables.{name})"),
            2 => format!("variables.{name} == 'web'"),
            _ => format!("type(variables.{name}) == string"),
        },
    }
}
