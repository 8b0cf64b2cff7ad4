// The parameters, bodies and answers the OpenAPI description refers to.

enum OpenAPIComponents {
  static let text = ##"""
    {
    "parameters":{
    "service":{"name":"service","in":"path","required":true,"schema":{"enum":["crr","ingestion","lifecycle"]}},
    "metered":{"name":"metered","in":"path","required":true,"schema":{"enum":["crr","ingestion"]}},
    "location":{"name":"location","in":"path","required":true,"description":"A configured location, or `all`","schema":{"type":"string"}},
    "metricType":{"name":"type","in":"path","required":true,"schema":{"enum":["all","backlog","completions","failures","throughput","pending"]}},
    "wait":{"name":"wait","in":"query","description":"Answer when every live node has drained, at most after this many seconds","schema":{"type":"integer","minimum":1,"maximum":3600}}},
    "requestBodies":{
    "Hours":{"description":"Absent body or key: 6 hours","content":{"application/json":{"schema":{"type":"object","properties":{"hours":{"type":"integer","minimum":1,"maximum":87600,"default":6}}}}}},
    "Retries":{"required":true,"content":{"application/json":{"schema":{"type":"array","minItems":1,"items":{"type":"object","required":["Bucket","Key","StorageClass"],"properties":{
    "Bucket":{"type":"string","minLength":1},"Key":{"type":"string","minLength":1},"StorageClass":{"type":"string","minLength":1},"VersionId":{"type":"string"},"ForceRetry":{"type":"boolean"}}}}}}},
    "AnyObject":{"required":true,"content":{"application/json":{"schema":{"type":"object"}}}}},
    "headers":{
    "RequestID":{"description":"Also in the log lines of this request","schema":{"type":"string","pattern":"^[0-9a-f]{20}$"}},
    "Stale":{"description":"Seconds since the state was last known; only while the state store is away","schema":{"type":"integer"}}},
    "responses":{
    "Empty":{"description":"Done","headers":{"x-scal-request-id":{"$ref":"#/components/headers/RequestID"}},"content":{"application/json":{"schema":{"type":"object","maxProperties":0}}}},
    "States":{"description":"The desired state by location","headers":{"x-downbeat-stale":{"$ref":"#/components/headers/Stale"}},"content":{"application/json":{"schema":{"type":"object","additionalProperties":{"enum":["enabled","disabled"]}},"example":{"aws-east":"enabled","archive":"disabled"}}}},
    "Schedules":{"description":"The scheduled resume by location, or none","headers":{"x-downbeat-stale":{"$ref":"#/components/headers/Stale"}},"content":{"application/json":{"schema":{"type":"object","additionalProperties":{"type":"string"}},"example":{"aws-east":"none","archive":"2018-06-28T05:40:20.600Z"}}}},
    "Drained":{"description":"Done; with `wait`: nothing is in flight any more, `{}` without it","content":{"application/json":{"schema":{"type":"object","additionalProperties":{"$ref":"#/components/schemas/Drain"}}}}},
    "Draining":{"description":"Stored; these nodes still have entries in flight","content":{"application/json":{"schema":{"type":"object","additionalProperties":{"$ref":"#/components/schemas/Drain"}}}}},
    "Locations":{"description":"All locations","headers":{"x-downbeat-stale":{"$ref":"#/components/headers/Stale"}},"content":{"application/json":{"schema":{"type":"object","required":["locations"],"properties":{"locations":{"type":"array","items":{"$ref":"#/components/schemas/Location"}}}}}}},
    "Location":{"description":"One location","headers":{"x-downbeat-stale":{"$ref":"#/components/headers/Stale"}},"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Location"}}}},
    "FailedPage":{"description":"A page","content":{"application/json":{"schema":{"type":"object","required":["IsTruncated","Versions"],"properties":{"IsTruncated":{"type":"boolean"},"NextMarker":{"type":"integer"},"Versions":{"type":"array","items":{"$ref":"#/components/schemas/Failed"}}}}}}},
    "Retried":{"description":"What was enqueued: what the source has; what it does not have any more leaves the list","content":{"application/json":{"schema":{"type":"array","items":{"$ref":"#/components/schemas/Failed"}}}}},
    "Metrics":{"description":"Counters by type; those of ingestion have no size","content":{"application/json":{"schema":{"type":"object","additionalProperties":{"type":"object","required":["description","results"],"properties":{"description":{"type":"string"},"results":{"type":"object","required":["count"],"properties":{"count":{"type":["integer","string"]},"size":{"type":["integer","string"]}}}}}},"example":{"pending":{"description":"Pending replication operations and bytes","results":{"count":4,"size":2048}}}}}},
    "Progress":{"description":"Octets pending and completed; zeros for what is not known","content":{"application/json":{"schema":{"type":"object","required":["description","pending","completed","progress"],"properties":{"description":{"type":"string"},"pending":{"type":"integer"},"completed":{"type":"integer"},"progress":{"type":"string","pattern":"^[0-9]+%$"}}},"example":{"description":"Object replication progress","pending":50,"completed":50,"progress":"50%"}}}},
    "Throughput":{"description":"Octets a second, over the last 15 minutes","content":{"application/json":{"schema":{"type":"object","required":["description","throughput"],"properties":{"description":{"type":"string"},"throughput":{"type":"string","pattern":"^[0-9]+[.][0-9]{2}$"}}},"example":{"description":"Object replication bytes/sec over the last 900 seconds","throughput":"0.06"}}}},
    "Health":{"description":"What this node sees","content":{"application/json":{"schema":{"type":"object","required":["topics","internalConnections"]}}}},
    "NotReady":{"description":"What is missing","content":{"application/json":{"schema":{"type":"array","items":{"type":"object","required":["component","status"]}}}}},
    "Text":{"description":"Text","content":{"text/plain":{"schema":{"type":"string"}}}},
    "AnyObject":{"description":"An object","content":{"application/json":{"schema":{"type":"object"}}}},
    "Error":{"description":"Refused or failed","headers":{"x-scal-request-id":{"$ref":"#/components/headers/RequestID"}},"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}}},
    "schemas":{
    "State":{"enum":["enabled","pausing","disabled","resuming"]},
    "Drain":{"type":"object","required":["state","inFlight"],"properties":{"state":{"$ref":"#/components/schemas/State"},"inFlight":{"type":"integer"},"nodes":{"type":"array","items":{"$ref":"#/components/schemas/Node"}}}},
    "Node":{"type":"object","required":["id","state","inFlight","lastSeen"],"properties":{"id":{"type":"string"},"state":{"$ref":"#/components/schemas/State"},"inFlight":{"type":"integer"},"lastSeen":{"type":"string","format":"date-time"}}},
    "Location":{"type":"object","required":["location","state","since","inFlight","queued","lag","scheduledResume","gaps","stuck","nodes","partitions","notes"],"properties":{
    "location":{"type":"string"},"state":{"$ref":"#/components/schemas/State"},"since":{"type":["string","null"],"format":"date-time"},"inFlight":{"type":"integer"},"queued":{"type":"integer"},"lag":{"type":["integer","null"]},
    "scheduledResume":{"type":"string"},"nodes":{"type":"array","items":{"$ref":"#/components/schemas/Node"}},
    "gaps":{"type":"array","description":"Ranges that this node found gone from the log before they were read","items":{"type":"object","required":["topic","partition","from","to"]}},
    "breaker":{"type":"object","description":"Of a target that is a service: whether attempts reach it, on this node","required":["state","since","reason","limit","nextProbe"],"properties":{"state":{"enum":["closed","open","half-open"]},"since":{"type":["string","null"]},"reason":{"type":["string","null"]},"limit":{"type":"integer"},"nextProbe":{"type":"string"}}},
    "stuck":{"type":"array","description":"Tasks of this node that run too long","items":{"type":"object","required":["bucket","key","versionId","topic","partition","offset","since"]}},
    "partitions":{"type":"array","description":"node: who consumes it, as the nodes report; committed and end are asked for by nodes that run the location, null elsewhere","items":{"type":"object","required":["topic","partition","committed","end","node"]}},
    "notes":{"type":"array","items":{"type":"string"}}}},
    "Failed":{"type":"object","required":["Bucket","Key","StorageClass","Size","LastModified"],"properties":{"Bucket":{"type":"string"},"Key":{"type":"string"},"VersionId":{"type":"string"},"StorageClass":{"type":"string"},"Size":{"type":"integer"},"LastModified":{"type":"string","description":"Of the source's object, ISO 8601; empty where nobody wrote it down and the source does not answer"},"Reason":{"type":"string"},"Message":{"type":"string"},"Attempts":{"type":"integer"},"FailedAt":{"type":"string","format":"date-time"},"ReplicationStatus":{"const":"PENDING"}}},
    "Error":{"type":"object","required":["code","description"],"properties":{"code":{"type":"integer"},"description":{"type":"string"}},"additionalProperties":{"const":true}}}}
    """##
}
