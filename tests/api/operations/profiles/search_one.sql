-- people.list_people
select exists (select from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3), person.profile_id, case when person.is_found then '{"profileId":' || coalesce('"' || person.profile_id || '"', 'null') || ',"entityJson":' || left(kept.document::text, -1) || case when kept.document = '{}' then '' else ',' end || '"identityMap":' || g.identity_map::text || '}}' end
  from gateway.graph g
 cross join lateral (select g.profile_id, $2::uuid as policy_id, $3::integer as version, true as is_found) person
  left join lateral (
         select document || '{}' as document, sources, modified_at
           from gateway.profile
          where sandbox_id = $1 and profile_id = person.profile_id
            and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3)
          limit 1) p on true
 cross join lateral (select coalesce(p.document, '{}') as document, case when p.document is not null then '' end as unread_document) kept
 where g.sandbox_id = $1 and g.profile_id > $4 and g.profile_id < $5
 order by g.profile_id asc
 limit $6;
