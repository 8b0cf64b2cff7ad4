// What is done to Redis as one step, in its own language: between two commands another node could do the same.
//
// Keys are computed by the caller and given as arguments of KEYS, so nothing here knows a name.

enum RedisScripts {
  /// Adds members to one hour's set, with their details, and lets both expire.
  /// KEYS: set, details. ARGV: expiry (Unix s), then score, member, details for each.
  static let record = """
    for i = 2, #ARGV, 3 do
      redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1])
      if ARGV[i + 2] ~= '' then redis.call('HSET', KEYS[2], ARGV[i + 1], ARGV[i + 2]) end
    end
    redis.call('EXPIREAT', KEYS[1], ARGV[1])
    redis.call('EXPIREAT', KEYS[2], ARGV[1])
    return #ARGV
    """

  /// One page, newest first: at least ARGV[3] members if there are so many, then all that share the last one's score, then the
  /// score of the next one. A member stands in several hours if it failed several times; its newest place counts.
  /// KEYS: sets newest first, then their details in the same order. ARGV: highest score, lowest score, members wanted.
  static let page = """
    local hours = #KEYS / 2
    local want, items, last, known = tonumber(ARGV[3]), {}, false, {}
    for h = 1, hours do
      if redis.call('EXISTS', KEYS[h]) == 1 then
        local from = 0
        while true do
          local batch = redis.call('ZREVRANGEBYSCORE', KEYS[h], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', from, 200)
          if #batch == 0 then break end
          from = from + #batch / 2
          for i = 1, #batch, 2 do
            local newer = false
            for _, k in ipairs(known) do
              if redis.call('ZSCORE', k, batch[i]) then newer = true break end
            end
            if not newer then
              if #items / 3 >= want and batch[i + 1] ~= last then return {batch[i + 1], items} end
              last = batch[i + 1]
              items[#items + 1] = batch[i]
              items[#items + 1] = last
              items[#items + 1] = redis.call('HGET', KEYS[hours + h], batch[i]) or ''
            end
          end
        end
        known[#known + 1] = KEYS[h]
      end
    end
    return {'', items}
    """

  /// For each member its newest score and details, or two empty texts.
  /// KEYS: as for `page`. ARGV: lowest score, then members.
  static let find = """
    local hours, out = #KEYS / 2, {}
    for i = 2, #ARGV do
      local score, details = '', ''
      for h = 1, hours do
        local found = redis.call('ZSCORE', KEYS[h], ARGV[i])
        if found and tonumber(found) >= tonumber(ARGV[1]) then
          score, details = found, redis.call('HGET', KEYS[hours + h], ARGV[i]) or ''
          break
        end
      end
      out[#out + 1] = score
      out[#out + 1] = details
    end
    return out
    """

  /// Takes the lock of each member that is in the list or is forced: 1 taken, 0 not in the list, -1 somebody else has it.
  /// KEYS: sets. ARGV: token, life of a lock (s), then member, lock, forced ('1' or '0') for each.
  static let claim = """
    local out = {}
    for i = 3, #ARGV, 3 do
      local found = ARGV[i + 2] == '1'
      if not found then
        for _, k in ipairs(KEYS) do
          if redis.call('ZSCORE', k, ARGV[i]) then found = true break end
        end
      end
      if not found then out[#out + 1] = 0
      elseif redis.call('SET', ARGV[i + 1], ARGV[1], 'NX', 'EX', ARGV[2]) then out[#out + 1] = 1
      else out[#out + 1] = -1 end
    end
    return out
    """

  /// Takes members off the list where that is asked for, and gives their locks back if they are still the caller's.
  /// KEYS: sets, their details, then the counters of pending operations and bytes. ARGV: token, operations and bytes to add,
  /// then member, lock, off the list ('1' or '0') for each.
  static let settle = """
    local hours = (#KEYS - 2) / 2
    for i = 4, #ARGV, 3 do
      if ARGV[i + 2] == '1' then
        for h = 1, hours do
          redis.call('ZREM', KEYS[h], ARGV[i])
          redis.call('HDEL', KEYS[hours + h], ARGV[i])
        end
      end
      if redis.call('GET', ARGV[i + 1]) == ARGV[1] then redis.call('DEL', ARGV[i + 1]) end
    end
    if ARGV[2] ~= '0' then redis.call('INCRBY', KEYS[#KEYS - 1], ARGV[2]) end
    if ARGV[3] ~= '0' then redis.call('INCRBY', KEYS[#KEYS], ARGV[3]) end
    return 1
    """

  /// KEYS: counters. ARGV: amount and life (s, 0 for ever) for each.
  static let add = """
    for i = 1, #KEYS do
      redis.call('INCRBY', KEYS[i], ARGV[2 * i - 1])
      if ARGV[2 * i] ~= '0' then redis.call('EXPIRE', KEYS[i], ARGV[2 * i]) end
    end
    return #KEYS
    """

  static func command(_ script: String, keys: [String], _ arguments: [String]) -> [[UInt8]] {
    var words = ["EVAL", script, String(keys.count)]
    words += keys
    words += arguments
    return words.map { Array($0.utf8) }
  }
}
